"""Where in a TOML file a key stands: tomllib does not say, and a person wants to know."""

import re
from typing import Any

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<path>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*(?P<path>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
                  r"""(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")  # fmt: skip
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def parse_lines(source: str) -> dict[tuple[str, ...], int]:
    """Find the line of every table and key of a TOML text.

    Keys inside inline tables and multi-line strings are not told apart; whoever asks for one
    gets the line of the nearest key around it from `find_line`.

    Returns: line numbers, from 1, by path.
    """
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(source.splitlines(), 1):
        if match := _TABLE.match(line):
            table = _split(match["path"])
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault(table + _split(match["path"]), number)
    return lines


def _split(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(path))


def find_line(lines: dict[tuple[str, ...], int], path: tuple[str, ...]) -> int | None:
    """Return the line of a key, or of what stands around it.

    Returns: None if not even that is known.
    """
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def parse_error_line(error: Any) -> int | None:
    """Read the line from a `tomllib.TOMLDecodeError`, which only has it in its text."""
    match = re.search(r"at line (\d+)", str(error))
    return int(match[1]) if match else None
