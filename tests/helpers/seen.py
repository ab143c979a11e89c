"""What a picture of a dashboard must not have: each finding is a sentence that names the panel."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_SERIES = 14
"""So many lines of a graph a person can tell apart, with their names beside them."""
MOST_ROWS = 16
"""So many lines of a timeline have room for their names."""
ROOM = 2.5
"""How far beyond the highest value an axis may go."""
SMALL = {"percentunit": 0.06, "s": 0.12, "suffix:s": 0.12, "bytes": float(1 << 30)}
"""How far an axis of zeros may go, by unit; others go to 1."""
ALL = 1.11
"""Where an axis ends that shows all of something: Grafana leaves room above the highest value."""
UNKNOWN = ("No data", "nothing is known of it")
"""Words that do not say why a panel is empty."""
Panel = Mapping[str, Any]


def findings(panels: Sequence[Panel], words: frozenset[str]) -> list[str]:
    """Return what is wrong; `words` are those that an empty panel may say here."""
    return [
        f"{panel['title']}: {each}"
        for panel in panels
        for each in (*_empty(panel, words), *_cut(panel), *_many(panel), *_axes(panel))
    ]


def _empty(panel: Panel, words: frozenset[str]) -> Iterator[str]:
    said = panel["empty"]
    if said in UNKNOWN:
        yield f"it is empty, and does not say why ({said!r})"
    elif said is not None and said not in words:
        yield f"it is empty, and says {said!r}, which is not so here"


def _cut(panel: Panel) -> Iterator[str]:
    for each in dict.fromkeys(panel["cut"]):
        yield f"it is cut: {each}"


def _many(panel: Panel) -> Iterator[str]:
    most = {"timeseries": MOST_SERIES, "state-timeline": MOST_ROWS}.get(panel["type"])
    if most is not None and panel["series"] > most:
        yield f"{panel['series']} series: nobody tells more than {most} apart"


def _axes(panel: Panel) -> Iterator[str]:
    for unit, (low, high) in panel["axes"].items():
        highest = max(panel["most"] or 0.0, SMALL.get(unit, 1.0))
        if unit == "percentunit" and high <= 1:
            continue  # all of it is what can be
        if unit == "percentunit" and high > ALL:
            yield f"its axis goes to {100 * high:g} %"
        elif high > ROOM * highest and panel["type"] == "timeseries":
            yield f"its axis goes to {high:g}, and the highest value is {panel['most']:g}"
        if low > high:
            yield "its axis is upside down"
