"""Points of a curve, and how steep it is."""

import math
from collections.abc import Mapping, Sequence
from statistics import linear_regression
from typing import Any

import attrs

LIMIT = 1.1
"""A curve whose exponent is above this has a cause, which is to be found."""
TAIL = 3
"""The last so many points count: among few, what is fixed hides how it grows."""


@attrs.frozen
class Point:
    """What `count` of something cost: CPU seconds, and MB (PSS; of a command the most resident)."""

    count: int
    cpu_s: float
    mb: float


@attrs.frozen
class Curve:
    """All points of one thing that grows, the fewest first."""

    name: str
    points: tuple[Point, ...]

    @property
    def exponent(self) -> float:
        """By which power of the count CPU time grows, where there are many."""
        return exponent([(p.count, p.cpu_s) for p in self.points])

    @property
    def memory_exponent(self) -> float:
        """By which power memory grows."""
        return exponent([(p.count, p.mb) for p in self.points])

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"name": self.name, "points": [attrs.astuple(p) for p in self.points]}


def from_json(record: Mapping[str, Any]) -> Curve:
    """Read what `Curve.to_json` made."""
    return Curve(record["name"], tuple(Point(*each) for each in record["points"]))


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the last points with both axes logarithmic; NaN of fewer than two."""
    last = points[-TAIL:]
    if len(last) < 2:
        return math.nan
    return linear_regression(
        [math.log(n) for n, _ in last], [math.log(cost) for _, cost in last]
    ).slope
