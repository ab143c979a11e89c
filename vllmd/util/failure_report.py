"""What is told of a failure, in six labelled parts. Pure.

The terminal, the webhook and the incident say the same; each line can be read, and pasted, alone.
"""

import textwrap
from collections.abc import Iterator
from typing import Any

import attrs

LABELS = ("What", "Why", "Evidence", "Done", "Next", "More")
COLUMN = max(map(len, LABELS)) + 2
"""Columns of the labels, with what stands between them and the text."""


@attrs.frozen
class FailureReport:
    """One failure, for a person; a part that is empty is left out."""

    what: str = ""
    """What failed, when, and how it stands now."""
    why: str = ""
    evidence: tuple[str, ...] = ()
    """The lines that show it, whole."""
    done: str = ""
    """What vllmd did."""
    next: tuple[str, ...] = ()
    """What a person can do: a sentence, or a command or a key of the configuration to paste."""
    more: tuple[str, ...] = ()
    """Where there is more, and what may be missing here."""

    def to_json(self) -> dict[str, Any]:
        """Return the parts by their names in lower case; lists where there may be several."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in attrs.asdict(self, recurse=False).items()
        }

    def text(self) -> str:
        """Return a line for each part, and one more for each further item of a part."""
        return "\n".join(f"{label}: {item}" for label, item in self._items())

    def wrapped(self, width: int) -> str:
        """Return the parts with their labels in a column, in lines of `width` columns.

        A path, a command and a word that are longer stay whole, to be copied.
        """
        shown, before = [], ""
        for label, item in self._items():
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

    def _items(self) -> Iterator[tuple[str, str]]:
        parts = ((self.what,), (self.why,), self.evidence, (self.done,), self.next, self.more)
        for label, items in zip(LABELS, parts, strict=True):
            yield from ((label, item) for item in items if item)
