"""What a line of vLLM's output says of itself: which process, which level. Pure: no I/O."""

import re
from typing import Any

import attrs

LEVELS = ("debug", "info", "warning", "error", "critical")
NO_LEVEL = "none"
"""Of lines that say none: tracebacks, progress bars, other libraries."""

_HEAD = re.compile(
    r"(?:\((?P<process>[A-Za-z][\w-]*) pid=(?P<pid>\d+)\) ?)?"
    r"(?:(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)(?::|(?= ))"
    r"|\[(?P<letter>[IWEF])\d{4} )?"
)
"""vLLM's prefix, its levels and uvicorn's; PyTorch's letters. Source: logs of vLLM 0.25, 0.32."""
_LETTERS = {"I": "info", "W": "warning", "E": "error", "F": "critical"}


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
    return Line(at, found["process"], int(pid) if pid else None, _level(found), text)


def level_of(text: str) -> str:
    """Return the level of a line, or of its first 64 characters."""
    found = _HEAD.match(text)
    return _level(found) if found else NO_LEVEL


def _level(found: re.Match[str]) -> str:
    if found["level"]:
        return found["level"].lower()
    return _LETTERS.get(found["letter"] or "", NO_LEVEL)
