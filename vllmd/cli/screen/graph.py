"""A series of ten minutes as blocks, for a terminal. Pure; `terminal` makes ASCII of it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

KEPT_S = 600.0
BLOCKS = " ▁▂▃▄▅▆▇█"
NOT_KNOWN = "·"
_HELD_S = 8.0
"""A point is true for so long at least: they come each five seconds."""
Points = Sequence[float | None]


def bins(at: Sequence[float], values: Points, now: float, width: int) -> list[float | None]:
    """Return the highest value in each of `width` parts of the ten minutes before `now`.

    `at` is in seconds since the epoch. None is "not known"; a point is held until the next one
    comes, if that is not late.
    """
    gaps = [after - before for before, after in pairwise(at)]
    held_s = max(_HELD_S, 1.6 * median(gaps)) if gaps else _HELD_S
    step_s = KEPT_S / width
    found: list[float | None] = []
    place = 0
    for number in range(width):
        end = now - KEPT_S + (number + 1) * step_s
        first = place
        while place < len(at) and at[place] <= end:
            place += 1
        within = [value for value in values[first:place] if value is not None]
        if within:
            found.append(max(within))
        elif first == place and place and end - at[place - 1] <= held_s:
            found.append(values[place - 1])
        else:
            found.append(None)
    return found


def bars(values: Points, top: float, height: int = 1) -> list[str]:
    """Return lines of blocks, the upper one first; `top` is what fills all of the height.

    What is not known is a dot, and what is known is at least an eighth of a block.
    """
    full = 8 * height
    units = [0 if v is None else _unit(v, top, full) for v in values]
    return [
        "".join(
            NOT_KNOWN if row == 0 and unit == 0 else BLOCKS[min(8, max(0, unit - 8 * row))]
            for unit in units
        )
        for row in reversed(range(height))
    ]


def _unit(value: float, top: float, full: int) -> int:
    return max(1, min(full, round(full * value / top))) if top > 0 else 1


def series_of(
    series: Mapping[str, Points], name: str, now: float, width: int
) -> list[float | None]:
    """Return one series of the status document in `width` parts; nothing known if it has none."""
    at = [each for each in series.get("at", ()) if each is not None]
    values = series.get(name, ())
    if not at or len(at) != len(values):
        return [None] * width
    return bins(at, values, now, width)
