"""A GPU's memory as a bar by its owners, and who they are in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vllmd.cli import terminal
from vllmd.util.units import format_bytes

BAR = 48
_BETWEEN = " · "
_MARKS = {
    "engine": ("█", "green"),
    "weights": ("■", "blue"),
    "orphan": ("▓", "red"),
    "foreign": ("▒", "yellow"),
    "unattributed": ("▒", "white"),
    "reserved": ("░", "white"),
    "free": ("·", "white"),
}

_BEFORE = {"orphan": "orphan ", "weights": "weights of "}
"""What an owner is to the engine that it is of."""


def bar(owners: Sequence[Mapping[str, Any]], width: int = BAR) -> str:
    """Return a GPU's memory as `width` characters: engines, weights, orphans, others, free."""
    total = sum(max(0, each["bytes"]) for each in owners) or 1
    drawn, so_far, shown = 0, 0, ""
    for name, (mark, colour) in _MARKS.items():
        so_far += sum(max(0, e["bytes"]) for e in owners if e["owner"] == name)
        until = round(width * so_far / total)
        if until > drawn:
            shown += terminal.style(mark * (until - drawn), fg=colour)
        drawn = until
    return shown


def in_words(owners: Sequence[Mapping[str, Any]]) -> str:
    """Return who holds how much, such as ``chat 71.5 GiB · free 8.0 GiB``."""
    return _BETWEEN.join(text for text, _ in _parts(owners))


def in_colours(owners: Sequence[Mapping[str, Any]]) -> str:
    """Return the same, each owner in the colour of the bar."""
    return _BETWEEN.join(terminal.style(text, fg=colour) for text, colour in _parts(owners))


def in_lines(owners: Sequence[Mapping[str, Any]], columns: int) -> list[str]:
    """Return the same in lines of so many columns, broken between owners only."""
    lines: list[list[str]] = []
    used = 0
    for text, colour in _parts(owners):
        used += len(_BETWEEN) + len(text)
        if not lines or used > columns:
            lines.append([])
            used = len(text)
        lines[-1].append(terminal.style(text, fg=colour))
    return [_BETWEEN.join(line) for line in lines]


def _parts(owners: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for each in owners:
        if each["bytes"] or each["owner"] == "free":
            amount = format_bytes(abs(each["bytes"]))
            sign = "-" if each["bytes"] < 0 else ""
            name = each["engine"] or each["owner"]
            before = _BEFORE.get(each["owner"], "") if each["engine"] else ""
            yield f"{before}{name} {sign}{amount}", _MARKS[each["owner"]][1]
