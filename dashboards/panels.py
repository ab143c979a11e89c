"""Grafana panels as plain dictionaries: what every panel of ours has, said once.

Only what Grafana 10.4 to 13 share is used. Plain dictionaries, not a generated SDK: a panel is a
title, a sentence, a unit and queries, and that is what a reader of its source wants to see.
"""

from collections.abc import Sequence
from typing import Any

import attrs

SCHEMA_VERSION = 39
"""Source: Grafana 10.4 writes 39; later ones migrate it."""
WIDTH, HEIGHT, COLUMNS = 8, 8, 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
ENGINES = 'instance=~"$instance",vllmd_engine=~"$engine"'


@attrs.frozen
class Query:
    """One query; `legend` is what each of its series is called."""

    expr: str
    legend: str


@attrs.frozen
class Panel:
    """One panel. `help` says what is normal, and what to do if it is not."""

    title: str
    help: str
    unit: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    decimals: int | None = None
    minimum: float | None = 0

    def to_json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """Return the panel at a place of the grid."""
        defaults: dict[str, Any] = {"unit": self.unit}
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.minimum is not None:
            defaults["min"] = self.minimum
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.help,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": _OPTIONS[self.kind],
            "targets": [
                {
                    "refId": chr(ord("A") + i),
                    "datasource": SOURCE,
                    "expr": query.expr,
                    "legendFormat": query.legend,
                }
                for i, query in enumerate(self.queries)
            ],
        }


_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "state-timeline": {
        "showValue": "never",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "single"},
    },
}


@attrs.frozen
class Row:
    """Panels that answer one question."""

    title: str
    panels: Sequence[Panel]


def dashboard(uid: str, title: str, help: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a dashboard with the variables that all of ours have."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        head = {"id": len(panels) + 1, "type": "row", "title": row.title, "gridPos": place}
        panels.append({**head, "collapsed": False, "panels": []})
        y += 1
        for i, panel in enumerate(row.panels):
            x = i % (COLUMNS // WIDTH) * WIDTH
            top = y + i // (COLUMNS // WIDTH) * HEIGHT
            panels.append(panel.to_json(len(panels) + 1, x, top))
        y += -(-len(row.panels) // (COLUMNS // WIDTH)) * HEIGHT
    return {
        "uid": uid,
        "title": title,
        "description": help,
        "tags": ["vllmd"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def _variables() -> list[dict[str, Any]]:
    source = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    return [source, _variable("instance", "Host", ""), _variable("engine", "Engine", "instance")]


def _variable(name: str, label: str, within: str) -> dict[str, Any]:
    wanted = {"instance": "instance", "engine": "vllmd_engine"}[name]
    chosen = '{instance=~"$instance"}' if within else ""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": f"label_values(vllmd_engine_info{chosen}, {wanted})",
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
