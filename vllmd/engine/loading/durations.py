"""How long starts of an engine took, phase by phase, and what that says of the one under way.

Pure: no I/O, no clock.
"""

import statistics
from collections.abc import Mapping, Sequence

from vllmd.engine.loading.phases import ORDER

KEPT_STARTS = 5
KEPT_COMMANDS = 4

Start = Mapping[str, float]
"""Seconds for each phase that was seen, in their order; the first one is `spawn`."""
Starts = Mapping[str, Sequence[Start]]
"""Starts that became ready, by the fingerprint of their command, the newest last."""

SPAWN = "spawn"
"""What comes before the first phase that is recognised."""


def remembered(starts: Starts, command_hash: str, start: Start) -> dict[str, list[Start]]:
    """Return `starts` with one more; the oldest commands and starts are forgotten."""
    kept = {known: list(each) for known, each in starts.items() if known != command_hash}
    kept[command_hash] = [*starts.get(command_hash, ()), start][-KEPT_STARTS:]
    return dict(list(kept.items())[-KEPT_COMMANDS:])


def usual_s(earlier: Sequence[Start]) -> float | None:
    """Return what a start usually takes, in seconds; None if there was none."""
    return statistics.median([sum(start.values()) for start in earlier]) if earlier else None


def left_s(earlier: Sequence[Start], phase: str | None, in_phase_s: float) -> float | None:
    """Estimate how long a start still takes that has been in `phase` for so long, in seconds.

    The median of each phase of earlier starts counts. While phases come in their order it never
    becomes more: one that takes longer than usual, or was never seen, leaves what is to come.

    Returns: None if this command has no earlier start.
    """
    if not earlier:
        return None
    here = _place(phase or SPAWN)
    names = {name for start in earlier for name in start}
    typical = {
        name: statistics.median([start.get(name, 0.0) for start in earlier]) for name in names
    }
    later = sum(seconds for name, seconds in sorted(typical.items()) if _place(name) > here)
    return max(0.0, typical.get(phase or SPAWN, 0.0) - in_phase_s) + later


def _place(phase: str) -> int:
    return ORDER.get(phase, -1)
