"""Options of panels, as Grafana 10.4 to 13 share them. Pure."""

from typing import Any

_LIST = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
_TABLE = {"displayMode": "table", "showLegend": True, "calcs": ["lastNotNull", "max"]}
LEGENDS: dict[str, dict[str, Any]] = {
    "bottom": _LIST,
    "right": {**_TABLE, "placement": "right", "sortBy": "Last *", "sortDesc": True},
    "none": {**_LIST, "showLegend": False},
}
"""Where the names of series are."""
OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {"tooltip": {"mode": "multi", "sort": "desc"}},
    "state-timeline": {
        "showValue": "auto",
        "mergeValues": True,
        "legend": LEGENDS["none"],
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
}
"""What each kind of panel is told, besides its data."""
