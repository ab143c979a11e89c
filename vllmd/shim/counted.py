"""Lines that the shim has counted, so that nobody else need read them: notes beside the log.

A note is one line of the file of arrival times, `=TAG BEGIN END LEVEL:LINES:BYTES …`: between these
offsets of the log are whole lines, so many of each level, and in none of them is a mark. The tag
stands for the marks and for how a level is read: a daemon that looks for others reads the lines.
Whoever reads arrival times passes over what does not begin with a number.
"""

import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

LEVELS = ("debug", "info", "warning", "error", "critical")
NO_LEVEL = "none"
"""Of lines that say none: tracebacks, progress bars, other libraries."""
ALL_LEVELS = (*LEVELS, NO_LEVEL)
HEAD = (
    r"(?:\((?P<process>[A-Za-z][\w-]*) pid=(?P<pid>\d+)\) ?)?"
    r"(?:(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(?::|(?= ))"
    r"|\[(?P<letter>[IWEF])\d{4} )?"
)
"""vLLM's prefix, its levels and uvicorn's; PyTorch's letters. Source: logs of vLLM 0.25, 0.32."""
HEAD_BYTES = 48
"""Longer than any prefix of a line up to its level."""
_HEAD = re.compile(HEAD)
_LETTERS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}

Counts = dict[str, list[int]]
"""Lines and bytes by level."""


class Counted(NamedTuple):
    """A part of one file of a log, by its offsets, and what is in it."""

    begin: int
    end: int
    counts: Counts


def level_of(text: str) -> str:
    """Return the level of a line, or of its first characters."""
    found = _HEAD.match(text)
    return level_in(found) if found else NO_LEVEL


def level_in(found: re.Match[str]) -> str:
    """Return the level that a match of `HEAD` has."""
    if found["level"]:
        return found["level"].lower()
    return _LETTERS.get(found["letter"] or "", NO_LEVEL)


def tag_of(marks: Iterable[str]) -> str:
    """Return what stands for these marks, and for how a level is read."""
    return f"{binascii.crc32(chr(0).join((HEAD, *sorted(marks))).encode()):08x}"


def add(counts: Counts, more: Counts) -> None:
    """Add what is in `more`."""
    for level, (lines, size) in more.items():
        known = counts.setdefault(level, [0, 0])
        known[0] += lines
        known[1] += size


def encode(tag: str, part: Counted) -> bytes:
    """Return a note as a line: ``=TAG BEGIN END LEVEL:LINES:BYTES …``; offsets are in bytes."""
    each = " ".join(f"{level}:{lines}:{size}" for level, (lines, size) in part.counts.items())
    return f"={tag} {part.begin} {part.end} {each}\n".encode()


def decode(tag: str, line: bytes) -> Counted | None:
    """Read a note, as `encode` writes it.

    Returns: None if it is none, is damaged, or is of other marks: the lines are then read again.
    """
    try:
        said, begin, end, *levels = line.decode().split()
        if said != f"={tag}":
            return None
        counts = {}
        for each in levels:
            level, lines, size = each.split(":")
            counts[level] = [int(lines), int(size)]
        part = Counted(int(begin), int(end), counts)
    except ValueError:
        return None
    whole = sum(size for _, size in counts.values()) == part.end - part.begin > 0
    return part if whole and counts.keys() <= set(ALL_LEVELS) else None
