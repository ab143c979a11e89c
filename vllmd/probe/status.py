"""How the answers of one engine stand, as others see it."""

import enum
from typing import Any

import attrs


class AnswersVerdict(enum.StrEnum):
    """What is known of an engine's answers."""

    UNKNOWN = "unknown"
    """Not asked yet in this run, or not for long."""
    RIGHT = "right"
    WRONG = "wrong"
    NOT_APPLICABLE = "not_applicable"
    """It gives no answers that could be looked at."""


@attrs.frozen
class ProbeStatus:
    """All that is known. Times are seconds since the epoch, distances nats."""

    verdict: AnswersVerdict
    on_mismatch: str
    asked: int = 0
    """Probes since the daemon began; each is all prompts."""
    mismatches: int = 0
    """Those of them that were not as the reference."""
    asked_in_run: bool = False
    """Whether the run that there is was asked, whatever came of it."""
    asked_at: float | None = None
    right_at: float | None = None
    distance: float | None = None
    """Of the last probe from the reference."""
    limit: float | None = None
    """What it may be."""
    recorded_at: float | None = None
    """When the reference was recorded; None if there is none."""
    recorded_by: str | None = None
    recorded_with: str | None = None
    """The version of vLLM of the reference."""
    found: str | None = None
    """What differs, or why nothing can be said."""
    corrupted: float | None = None
    """Requests with values that are no numbers, as vLLM counts them; None if it does not."""

    def to_json(self) -> dict[str, Any]:
        """Return it as `vllmd status --json` shows it."""
        return {**attrs.asdict(self), "verdict": str(self.verdict)}
