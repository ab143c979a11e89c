"""Grafana panels as plain dictionaries: what every panel of ours has, said once. Pure.

Only what Grafana 10.4 to 13 share is used. Plain dictionaries, not a generated SDK: a panel is a
title, a sentence, a unit and queries, and that is what a reader of its source wants to see.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from vllmd.monitoring.dashboards.looks import Look, Steps, mapping, override, thresholds
from vllmd.monitoring.dashboards.options import LEGENDS, OPTIONS
from vllmd.monitoring.dashboards.tables import TableColumn, transformations

SCHEMA_VERSION = 39
"""Source: Grafana 10.4 writes 39; later ones migrate it."""
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "[$__rate_interval]"
NAME = "{{instance}} {{vllmd_engine}}"
"""How a series of an engine is called."""
GPU_NAME = "{{instance}} GPU {{gpu}}"
ENGINE_GPU_NAME = "{{instance}} {{vllmd_engine}} GPU {{gpu}}"

LATENCY = "suffix:s"
"""Seconds that stay seconds: Grafana's own unit makes minutes of 80, in decimals."""
SOFT_MAXIMA = {
    **{"percentunit": 0.05, "short": 1, "none": 1, "reqps": 1, "s": 0.1, "bytes": 1 << 30},
    **{LATENCY: 0.1, "suffix:x": 1, "suffix:cores": 0.1, "suffix:GPUs": 1, "joule": 1},
    **dict.fromkeys(("count:tok/s", "count:lines/s", "count:events/s"), 1),
}
"""So far an axis goes at least, by unit: one of zeros ended at 10000 %."""

HOSTS = 'instance=~"$instance"'
ENGINES = 'instance=~"$instance",vllmd_engine=~"$engine"'
GPUS = 'instance=~"$instance",gpu=~"$gpu"'
NAME_SIZE = 14
"""Of what a number is called, in pixels: on a narrow screen Grafana makes it too small to read."""
MOST_SERIES = 8
"""So many lines a person can tell apart; of more only the worst are drawn."""


@attrs.frozen
class Query:
    """One query; `legend` is what each of its series is called."""

    expr: str
    legend: str
    instant: bool = False
    heatmap: bool = False
    colour: str | None = None
    dashed: bool = False
    """Whether it is a bound: a dashed line, and in no stack."""
    alone: bool = False
    """Whether it is an area of its own beside a stack."""
    unit: str | None = None
    """Where it differs from the panel's."""
    steps: Steps = ()
    most: float | None = None
    """Of a share: what is all of it, so that its graph ends there."""
    exemplar: bool = False
    """Whether single requests are shown too, with their traces."""


def worst(expr: str, legend: str, most: int = MOST_SERIES, **more: Any) -> Query:
    """Return a query of the highest only: of a fleet, no person can tell all apart."""
    return Query(f"topk({most}, {expr})", legend, **more)


@attrs.frozen
class Panel:
    """One panel. `help` says what is normal, and what to do if it is not."""

    title: str
    help: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    width: int | None = None
    """In columns of 24; by itself 8, or 12 where names are at the right."""
    height: int | None = None
    """In lines; by itself 8, or 9 where names are at the right, so that all have room."""
    decimals: int | None = None
    minimum: float | None = 0
    maximum: float | None = None
    stacked: bool = False
    steps: Steps = ()
    words: Mapping[str, Look] = attrs.field(factory=dict)
    """What values mean: a text and a colour."""
    nothing: str = "nothing is known of it"
    """What is said in place of "No data"."""
    colours: Mapping[str, str] = attrs.field(factory=dict)
    """Of series whose name says whether they are good."""
    columns: Sequence[TableColumn] = ()
    """Those of a table."""
    first: str | None = None
    """The title of the column by which a table is sorted; with `-` the largest first."""
    legend: str | None = None
    """Where names are: `bottom`, `right` (with the last value and the highest) or `none`; by itself
    at the right where the series are the worst of many."""
    repeat: str | None = None
    """The variable for each of whose values the panel is there."""

    @property
    def _bounds(self) -> str:
        """How the steps are drawn: of what must not be below 0, as an area."""
        if not self.steps:
            return "off"
        return "area" if self.minimum is None else "dashed"

    @property
    def names(self) -> str:
        """Where the names of series are."""
        ranked = any(query.expr.startswith(("topk(", "bottomk(")) for query in self.queries)
        return self.legend or ("right" if ranked else "bottom")

    @property
    def columns_wide(self) -> int:
        """How wide it is, in columns."""
        if self.width is None:
            return 12 if self.kind == "timeseries" and self.names == "right" else 8
        return self.width

    @property
    def lines_high(self) -> int:
        """How high it is, in lines of the grid."""
        if self.height is None:
            return 9 if self.kind == "timeseries" and self.names == "right" else 8
        return self.height

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel at a place of the grid."""
        found: dict[str, Any] = {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.help,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.columns_wide, "h": self.lines_high},
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": self._options(),
            "targets": [_target(i, query, self.kind) for i, query in enumerate(self.queries)],
        }
        if self.kind == "table":
            found["transformations"] = transformations(self.columns, len(self.queries), self.first)
        if self.repeat:
            found |= {"repeat": self.repeat, "repeatDirection": "h", "maxPerRow": 4}
        return found

    def _options(self) -> dict[str, Any]:
        options = {**OPTIONS[self.kind]}
        if self.kind == "timeseries":
            options["legend"] = LEGENDS[self.names]
        if self.kind == "stat":
            options |= {"graphMode": "area", "textMode": "value_and_name"}
            options["text"] = {"titleSize": NAME_SIZE}
        return options

    def _overrides(self) -> list[dict[str, Any]]:
        series = []
        for i, query in enumerate(self.queries):
            found = list(_own_look(query))
            if found:
                series.append(override("byFrameRefID", letter(i), *found))
        named = [
            override("byName", name, ("color", {"mode": "fixed", "fixedColor": colour}))
            for name, colour in self.colours.items()
        ]
        return [*series, *named, *(column.override() for column in self.columns)]

    def _defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {"unit": self.unit, "thresholds": thresholds(self.steps)}
        for name, value in (
            ("decimals", self.decimals),
            ("min", self.minimum),
            ("max", self.maximum),
            ("noValue", self.nothing),
        ):
            if value is not None:
                defaults[name] = value
        if self.words:
            defaults["mappings"] = [mapping(self.words)]
        if self.kind == "timeseries":
            defaults["custom"] = {
                "fillOpacity": 60 if self.stacked else 8,
                # of an area without height a line would be left, on top of the one below
                "lineWidth": 0 if self.stacked else 1,
                "showPoints": "never",
                "stacking": {"group": "A", "mode": "normal" if self.stacked else "none"},
                "thresholdsStyle": {"mode": self._bounds},
            }
            if self.minimum is None:
                defaults["custom"]["axisSoftMin"] = 0
            if self.maximum is None and self.unit in SOFT_MAXIMA:
                defaults["custom"]["axisSoftMax"] = SOFT_MAXIMA[self.unit]
        if self.kind in ("stat", "state-timeline"):
            defaults["color"] = {"mode": "thresholds"}
        return defaults


def _own_look(query: Query) -> Iterator[tuple[str, Any]]:
    """Yield what one query has otherwise than the panel."""
    if query.colour:
        mode = "shades" if "{{" in query.legend else "fixed"  # several series share a colour
        yield "color", {"mode": mode, "fixedColor": query.colour}
    if query.unit:
        yield "unit", query.unit
    if query.steps:
        yield "thresholds", thresholds(query.steps)
    if query.most is not None:
        yield "max", query.most
    if query.dashed or query.alone:
        yield "custom.stacking", {"group": query.legend, "mode": "none"}
        yield "custom.fillOpacity", 0 if query.dashed else 50
        yield "custom.lineWidth", 2 if query.dashed else 4
    if query.dashed:
        yield "custom.lineStyle", {"fill": "dash", "dash": [8, 6]}


def letter(index: int) -> str:
    """Return how Grafana calls the query with that number."""
    return chr(ord("A") + index)


def _target(index: int, query: Query, kind: str) -> dict[str, Any]:
    target = {
        "refId": letter(index),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
    }
    if query.exemplar:
        return {**target, "exemplar": True}
    if kind == "table":
        return {**target, "format": "table", "instant": True, "range": False}
    if query.heatmap:
        return {**target, "format": "heatmap"}
    if query.instant:
        return {**target, "instant": True, "range": False}
    return target


@attrs.frozen
class PanelRow:
    """Panels that answer one question; without a title they are above all rows."""

    title: str
    panels: Sequence[Panel]
    closed: bool = True
    """Whether one has to open it."""


def place(rows: Sequence[PanelRow]) -> list[dict[str, Any]]:
    """Return the panels at their places: from left to right, in lines as high as the highest."""
    placed: list[dict[str, Any]] = []
    count = y = 0
    for row in rows:
        inner: list[dict[str, Any]] = []
        if row.title:
            count += 1
            at = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
            head = {"id": count, "type": "row", "title": row.title, "gridPos": at}
            placed.append({**head, "collapsed": row.closed, "panels": inner if row.closed else []})
            y += 1
        below = y
        for line in _lines(row.panels):
            x, highest = 0, max(panel.lines_high for panel in line)
            for panel in line:
                count += 1
                made = panel.to_json(count, x, below)
                made["gridPos"]["h"] = highest
                inner.append(made)
                x += panel.columns_wide
            below += highest
        if not row.title or not row.closed:
            placed += inner
            y = below
    return placed


def _lines(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    """Yield the panels that have room beside each other."""
    line: list[Panel] = []
    for panel in panels:
        if line and sum(each.columns_wide for each in line) + panel.columns_wide > COLUMNS:
            yield line
            line = []
        line.append(panel)
    if line:
        yield line
