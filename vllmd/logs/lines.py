"""What a line of vLLM's output says of itself: which process, which level. Pure: no I/O."""

import re
from typing import Any

import attrs

from vllmd.shim.counted import HEAD, level_in

_HEAD = re.compile(HEAD)

ODD_BYTES = "surrogateescape"
"""How bytes that are no UTF-8 are kept in a text, so that a terminal gets what was printed."""


@attrs.frozen
class Line:
    """One line: when it came (seconds since the epoch), who printed it, how bad it is."""

    at: float | None
    process: str | None
    pid: int | None
    level: str
    text: str

    def to_json(self, engine: str) -> dict[str, Any]:
        """Return the line as `vllmd logs --json` prints it."""
        text = self.text.encode(errors=ODD_BYTES).decode(errors="replace")
        return {"engine": engine, **attrs.asdict(self), "text": text}


def parse_line(text: str, at: float | None = None) -> Line:
    """Read who says a line, and at which level; what it does not say is None or ``none``."""
    found = _HEAD.match(text)
    assert found is not None, "every part of the pattern may be absent"
    pid = found["pid"]
    return Line(at, found["process"], int(pid) if pid else None, level_in(found), text)
