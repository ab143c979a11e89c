"""What may show why a run ended: an exception, or one line. Pure: no I/O."""

import re
from collections.abc import Sequence

import attrs

from vllmd.engine.log_reading.entries import Entry
from vllmd.engine.log_reading.thrown import Thrown

LOST = re.compile(
    r"^(?:ConnectionResetError|BrokenPipeError|EOFError|ConnectionRefusedError)\b"
    r"|^ray\.exceptions\.RayChannelError: .*Channel closed"
    r"|^zmq\.error\.ZMQError: (?:Operation not supported|Socket operation on non-socket)"
)
"""How the other side notices that a process is gone."""


@attrs.frozen(slots=True)
class Sign:
    """What may show why a run ended: an exception with the lines of its message, or one line."""

    lines: tuple[str, ...]
    index: int
    entry: Entry
    thrown: Thrown | None = None
    echo: bool = False
    passed_on: bool = False
    """Whether another process said it of the one that failed, whose own words are cut off."""

    @property
    def quote(self) -> str:
        """The line to quote; of a validation error, its reason."""
        if (reason := reason_of(self.lines)) is not None:
            return f"{self.lines[0].strip()}: {reason}"
        first = self.lines[0].strip()
        if self.thrown is not None and not self.thrown.message and self.thrown.code:
            return f"{first} ({self.thrown.code})"
        if len(self.lines) > 1 and (first.endswith(":") or len(first.split()) == 1):
            return f"{first} {self.lines[1].strip()}".strip()
        return first

    @property
    def is_own(self) -> bool:
        """Whether it is more than a word of another one, or of a process that is gone."""
        return not self.echo and not LOST.match(self.lines[0])

    @property
    def is_logged(self) -> bool:
        """Whether it is a line that vLLM logged: it may have gone on after that."""
        place = self.entry.place
        of_vllm = place is not None and (".py:" in place or place.startswith("vllm"))
        return self.thrown is None and of_vllm


def reason_of(lines: Sequence[str]) -> str | None:
    """Return what a validation error of pydantic says, which is not in its first line."""
    if len(lines) < 2 or not re.search(r"\d+ validation errors? for", lines[0]):
        return None
    reasons = [line.strip() for line in lines[1:] if " error, " in line]
    return reasons[0] if reasons else " ".join(line.strip() for line in lines[1:3])
