"""Grafana panels as plain dictionaries: what every panel of ours has, said once. Pure.

Only what Grafana 10.4 to 13 share is used. Plain dictionaries, not a generated SDK: a panel is a
title, a sentence, a unit and queries, and that is what a reader of its source wants to see.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

SCHEMA_VERSION = 39
"""Source: Grafana 10.4 writes 39; later ones migrate it."""
COLUMNS = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "[$__rate_interval]"
NAME = "{{instance}} {{vllmd_engine}}"
"""How a series of an engine is called."""
GPU_NAME = "{{instance}} GPU {{gpu}}"
ENGINE_GPU_NAME = "{{instance}} {{vllmd_engine}} GPU {{gpu}}"

SOFT_MAXIMA = {"percentunit": 0.05, "short": 1, "reqps": 1}
"""So far an axis goes at least, by unit: one of zeros ended at 10000 %."""

HOSTS = 'instance=~"$instance"'
ENGINES = 'instance=~"$instance",vllmd_engine=~"$engine"'
GPUS = 'instance=~"$instance",gpu=~"$gpu"'

Steps = Sequence[tuple[float, str]]
"""From which value on a panel has which colour; below the first it is green."""
YES_IS_GOOD: Steps = ((0, "red"), (1, "green"))
NO_IS_GOOD: Steps = ((1, "red"),)


@attrs.frozen
class Query:
    """One query; `legend` is what each of its series is called."""

    expr: str
    legend: str
    instant: bool = False
    heatmap: bool = False
    colour: str | None = None


@attrs.frozen
class Panel:
    """One panel. `help` says what is normal, and what to do if it is not."""

    title: str
    help: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    minimum: float | None = 0
    maximum: float | None = None
    stacked: bool = False
    steps: Steps = ()
    words: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)
    """What values mean: a text and a colour."""
    nothing: str | None = None
    """What is said in place of "No data" where that is normal."""
    left_out: Sequence[str] = ()
    """Columns of a table that say nothing."""
    first: str | None = None
    """The column by which a table is sorted."""
    column_colours: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    """Which colour a value has, by column of a table."""

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel at a place of the grid."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.help,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
            "options": _OPTIONS[self.kind],
            "targets": [_target(i, query, self.kind) for i, query in enumerate(self.queries)],
            **({"transformations": self._transformations()} if self.kind == "table" else {}),
        }

    def _overrides(self) -> list[dict[str, Any]]:
        series = [
            _override(
                "byFrameRefID", _letter(i), ("color", {"mode": "fixed", "fixedColor": query.colour})
            )
            for i, query in enumerate(self.queries)
            if query.colour
        ]
        columns = [
            _override(
                "byName",
                name,
                ("mappings", [_mapping({value: {"color": c} for value, c in values.items()})]),
                ("custom.cellOptions", {"type": "color-text"}),
            )
            for name, values in self.column_colours.items()
        ]
        return [*series, *columns]

    def _transformations(self) -> list[dict[str, Any]]:
        hidden = dict.fromkeys(("Time", "__name__", *self.left_out), True)
        found: list[dict[str, Any]] = [{"id": "organize", "options": {"excludeByName": hidden}}]
        if self.first:
            found.append({"id": "sortBy", "options": {"sort": [{"field": self.first}]}})
        return found

    def _defaults(self) -> dict[str, Any]:
        colours: list[dict[str, Any]] = [{"color": "green", "value": None}]
        colours += [{"color": colour, "value": value} for value, colour in self.steps]
        if self.steps and self.steps[0][0] == 0:
            colours[0]["color"] = self.steps[0][1]
            del colours[1]
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": colours},
        }
        for name, value in (
            ("decimals", self.decimals),
            ("min", self.minimum),
            ("max", self.maximum),
            ("noValue", self.nothing),
        ):
            if value is not None:
                defaults[name] = value
        if self.words:
            shown = {v: {"text": text, "color": c} for v, (text, c) in self.words.items()}
            defaults["mappings"] = [_mapping(shown)]
        if self.kind == "timeseries":
            defaults["custom"] = {
                "fillOpacity": 40 if self.stacked else 8,
                "showPoints": "never",
                "stacking": {"group": "A", "mode": "normal" if self.stacked else "none"},
                "thresholdsStyle": {"mode": "line" if self.steps else "off"},
            }
            if self.minimum == 0 and self.maximum is None and self.unit in SOFT_MAXIMA:
                defaults["custom"]["axisSoftMax"] = SOFT_MAXIMA[self.unit]
        if self.kind in ("stat", "state-timeline"):
            defaults["color"] = {"mode": "thresholds"}
        return defaults


def _override(matcher: str, of: str, *properties: tuple[str, Any]) -> dict[str, Any]:
    return {
        "matcher": {"id": matcher, "options": of},
        "properties": [{"id": name, "value": value} for name, value in properties],
    }


def _mapping(shown: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    options = {value: {**look, "index": i} for i, (value, look) in enumerate(shown.items())}
    return {"type": "value", "options": options}


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _target(index: int, query: Query, kind: str) -> dict[str, Any]:
    target = {
        "refId": _letter(index),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
    }
    if kind == "table":
        return {**target, "format": "table", "instant": True, "range": False}
    if query.heatmap:
        return {**target, "format": "heatmap"}
    if query.instant or kind == "stat":
        return {**target, "instant": True, "range": False}
    return target


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "state-timeline": {
        "showValue": "auto",
        "mergeValues": True,
        "legend": _LEGEND,
        "tooltip": {"mode": "single", "sort": "none"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
    },
    "heatmap": {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "yAxis": {"axisPlacement": "left", "unit": "s"},
        "tooltip": {"mode": "single", "yHistogram": False},
        "legend": {"show": True},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
    "alertlist": {
        "viewMode": "list",
        "groupMode": "default",
        "groupBy": [],
        "maxItems": 20,
        "sortOrder": 3,
        "dashboardAlerts": False,
        "alertName": "Vllmd",
        "alertInstanceLabelFilter": "",
        "stateFilter": {
            "firing": True,
            "pending": True,
            "noData": False,
            "normal": False,
            "error": True,
        },
    },
}


@attrs.frozen
class PanelRow:
    """Panels that answer one question."""

    title: str
    panels: Sequence[Panel]


def place(rows: Sequence[PanelRow]) -> list[dict[str, Any]]:
    """Return the panels at their places: from left to right, in lines of the highest of them."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        at = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        head = {"id": len(panels) + 1, "type": "row", "title": row.title, "gridPos": at}
        panels.append({**head, "collapsed": False, "panels": []})
        x, y, highest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, highest = 0, y + highest, 0
            panels.append(panel.to_json(len(panels) + 1, x, y))
            x, highest = x + panel.width, max(highest, panel.height)
        y += highest
    return panels
