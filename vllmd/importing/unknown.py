"""What cannot be worked out, kept as a mark within a text until it matters. Pure.

A mark carries what was written, why it is not known, and where. So a value can be joined, cut and
handed on as any text; whoever would write one of them down asks `unknowns` first.
"""

import re
import shlex
from collections.abc import Iterable

import attrs

_OPEN, _SEPARATOR, _CLOSE = "\ue000", "\ue001", "\ue002"
MARK = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
"""A mark, whole."""
MARK_PATTERN = f"{_OPEN}[^{_CLOSE}]*{_CLOSE}"
"""The same without a group, as a part of others."""
_HIDDEN = str.maketrans({"=": "\ue005", ":": "\ue006", ",": "\ue007", "/": "\ue008"})
_SHOWN = {ord(hidden): chr(plain) for plain, hidden in _HIDDEN.items()}
"""What texts are cut at is hidden within a mark, so that it stays whole."""


@attrs.frozen(order=True)
class Place:
    """Where something stands: a file, or what stands for one, and a line that counts from 1."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


@attrs.frozen
class Unknown:
    """One thing that is not known here."""

    written: str
    reason: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.written}: {self.reason}"


def mark(written: str, reason: str, place: Place) -> str:
    """Return the mark for what is not known."""
    fields = (MARK.sub(_written, written), reason, str(place))
    return f"{_OPEN}{_SEPARATOR.join(fields).translate(_HIDDEN)}{_CLOSE}"


def is_unknown(text: str) -> bool:
    """Tell whether a text has a mark in it."""
    return _OPEN in text


def unknowns(texts: Iterable[str]) -> list[Unknown]:
    """Return what is not known in some texts, each once."""
    inner = (each for text in texts for each in MARK.findall(text))
    found = [Unknown(*each.translate(_SHOWN).split(_SEPARATOR)) for each in inner]
    return list(dict.fromkeys(found))


def words_of(text: str) -> list[str]:
    """Split a text into words as a shell does with its quotes; a mark is never split.

    Raises: ValueError: a quote has no end.
    """
    marks: list[str] = []

    def kept(found: re.Match[str]) -> str:
        marks.append(found[0])
        return f"\ue003{len(marks) - 1}\ue004"

    words = shlex.split(MARK.sub(kept, text))
    return [re.sub("\ue003(\\d+)\ue004", lambda found: marks[int(found[1])], w) for w in words]


def as_written(text: str) -> str:
    """Return a text with what was written in place of its marks, for people to read."""
    return MARK.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    return str(found[1]).split(_SEPARATOR)[0].translate(_SHOWN)
