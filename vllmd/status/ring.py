"""The last points of a few series that share their times, in arrays: bounded, and small. Pure."""

import math
from array import array
from collections.abc import Mapping, Sequence

POINTS = 120
KEPT_S = 600.0
STEP_S = 5.0
"""Points that come closer than most of this to the one before are left out."""
LEAST_GAP = 0.8


class Ring:
    """Points of ten minutes: 8 bytes a time, 4 bytes a value; what is not known is not a number."""

    def __init__(self, names: Sequence[str]) -> None:
        """Make one, with all the memory that it will take."""
        self._names = tuple(names)
        self._at = array("d", bytes(8 * POINTS))
        self._values = array("f", bytes(4 * POINTS * len(self._names)))
        self._count = 0
        self._next = 0

    @property
    def size_bytes(self) -> int:
        """What the arrays take."""
        return sum(len(a) * a.itemsize for a in (self._at, self._values))

    @property
    def last_at(self) -> float | None:
        """The time of the newest point; None if there is none."""
        return self._at[self._next - 1] if self._count else None

    def is_due(self, at: float) -> bool:
        """Tell whether a point of that time is far enough from the last one."""
        return self.last_at is None or at - self.last_at >= LEAST_GAP * STEP_S

    def add(self, at: float, values: Sequence[float | None]) -> None:
        """Add a point, in place of the oldest once there are `POINTS`."""
        width, place = len(self._names), self._next
        self._at[place] = at
        for index, value in enumerate(values):
            self._values[place * width + index] = math.nan if value is None else value
        self._next = (place + 1) % POINTS
        self._count = min(POINTS, self._count + 1)

    def to_json(self, now: float, to_wall_s: float) -> Mapping[str, list[float | None]]:
        """Return lists of one length, the oldest first: `at` and each series.

        `now` is of the clock of `add`; `to_wall_s` is what makes its times seconds since the epoch.
        """
        places = [(self._next - self._count + n) % POINTS for n in range(self._count)]
        places = [place for place in places if self._at[place] > now - KEPT_S]
        width = len(self._names)
        listed: dict[str, list[float | None]] = {
            "at": [round(self._at[place] + to_wall_s, 1) for place in places]
        }
        for index, name in enumerate(self._names):
            listed[name] = [_number(self._values[place * width + index]) for place in places]
        return listed


def _number(value: float) -> float | None:
    return None if math.isnan(value) else rounded(value)


def rounded(value: float) -> float:
    """Return a figure with as many digits as say anything."""
    return float(f"{value:.5g}")
