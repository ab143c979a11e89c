"""How old events are by the time that vllmd ran, which no clock that is set can change. Pure.

The wall clock may be a year ahead for a minute, and what is removed by it is gone. So time is
counted while the history is open, and from time to time it is noted which event was the last by
then: what came before that is at least so old.
"""

import bisect
import json
import math

import attrs

from vllmd.util.units import DAY_S

NOTES = 10
"""Fewest notes that are made within the time that events are kept."""


@attrs.define
class Age:
    """Seconds that were counted, over all daemons, and the last event at some of them."""

    seconds: float = 0.0
    notes: list[tuple[float, int]] = attrs.field(factory=list)
    """Counted seconds and the last event's id by then, both growing."""
    _looked_at: float | None = None

    def count(self, monotonic_s: float) -> None:
        """Add the time since the last look, by a clock that only grows."""
        if self._looked_at is not None:
            self.seconds += max(0.0, monotonic_s - self._looked_at)
        self._looked_at = monotonic_s

    def note(self, last_id: int, keep_s: float) -> None:
        """Note the last event, if the last note is long enough ago."""
        every_s = min(DAY_S, keep_s / NOTES)
        if not self.notes or self.seconds - self.notes[-1][0] >= every_s:
            self.notes.append((self.seconds, last_id))

    def expired(self, keep_s: float) -> int:
        """Return the id of the last event that is older than that; 0 if none is."""
        index = bisect.bisect_right(self.notes, (self.seconds - keep_s, math.inf)) - 1
        if index < 0:
            return 0
        del self.notes[:index]
        return self.notes[0][1]

    def to_json(self) -> str:
        """Write it down."""
        return json.dumps({"seconds": self.seconds, "notes": self.notes})


def from_json(text: str | None) -> Age:
    """Read what was written down; what cannot be read begins anew, and keeps all events longer."""
    try:
        read = json.loads(text or "{}")
        notes = [(float(seconds), int(last_id)) for seconds, last_id in read["notes"]]
        seconds = float(read["seconds"])
        if notes != sorted(notes) or not all(0 <= at <= seconds < math.inf for at, _ in notes):
            return Age()
        return Age(seconds, notes)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Age()
