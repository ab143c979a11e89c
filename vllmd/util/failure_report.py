"""What is told of a failure, in six labelled parts. Pure.

The terminal, the webhook and the incident say the same; each line can be read, and pasted, alone.
"""

from typing import Any

import attrs

from vllmd.util import labelled_parts


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
        return "\n".join(f"{label}: {item}" for label, item in labelled_parts.items(self.to_json()))

    def wrapped(self, width: int) -> str:
        """Return the parts with their labels in a column, in lines of `width` columns.

        A path, a command and a word that are longer stay whole, to be copied.
        """
        return labelled_parts.wrapped(self.to_json(), width)
