"""A report in labelled parts, laid out for a terminal. Pure; the standard library only.

A command that only shows what the daemon tells starts faster without the classes behind it.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LABELS = ("What", "Why", "Evidence", "Done", "Next", "More")
COLUMN = max(map(len, LABELS)) + 2
"""Columns of the labels, with what stands between them and the text."""


def items(parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label and each item of the parts, which go by their labels in lower case."""
    for label in LABELS:
        part: str | Sequence[str] = parts[label.lower()]
        each = (part,) if isinstance(part, str) else part
        yield from ((label, item) for item in each if item)


def wrapped(parts: Mapping[str, Any], width: int) -> str:
    """Return the parts with their labels in a column, in lines of `width` columns.

    A path, a command and a word that are longer stay whole, to be copied.
    """
    shown, before = [], ""
    for label, item in items(parts):
        start = "" if label == before else label
        before = label
        shown.append(
            textwrap.fill(
                item,
                width,
                initial_indent=start.ljust(COLUMN),
                subsequent_indent=" " * COLUMN,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(shown)
