"""A dashboard around its panels: variables, links, annotations. Pure."""

from collections.abc import Sequence
from typing import Any

from vllmd.monitoring.dashboards.panels import SCHEMA_VERSION, SOURCE, PanelRow, place

TAG = "vllmd"
RUNBOOKS = "http://$instance/runbooks/"
"""Where the pages are, if one host is chosen: each vllmd serves its own."""


def dashboard(
    uid: str,
    title: str,
    help: str,
    rows: Sequence[PanelRow],
    variables: Sequence[str] = ("engine",),
    span: str = "1h",
) -> dict[str, Any]:
    """Return a dashboard; besides the data source, job and host it has the variables named."""
    return {
        "uid": uid,
        "title": title,
        "description": help,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": f"now-{span}", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_DATASOURCE, *map(_variable, ("job", "instance", *variables))]},
        "annotations": {"list": [_failures(variables), _xids()]},
        "links": _links(),
        "panels": place(rows),
    }


_DATASOURCE = {
    "name": "datasource",
    "label": "Data source",
    "type": "datasource",
    "query": "prometheus",
    "current": {},
    "regex": "",
}
_VARIABLES = {
    "job": ("Job", "label_values(vllmd_build_info, job)"),
    "instance": ("Host", 'label_values(vllmd_build_info{job=~"$job"}, instance)'),
    "engine": (
        "Engine",
        'label_values(vllmd_engine_info{instance=~"$instance"}, vllmd_engine)',
    ),
    "model": (
        "Model",
        'label_values(vllmd_tokens_total{instance=~"$instance"}, model_name)',
    ),
    "gpu": ("GPU", 'label_values(vllmd_gpu_up{instance=~"$instance"}, gpu)'),
}


def _variable(name: str) -> dict[str, Any]:
    label, query = _VARIABLES[name]
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _annotation(name: str, colour: str, expr: str, title: str, text: str) -> dict[str, Any]:
    """Return marks at the times that are a query's values, in milliseconds: exact at every zoom."""
    return {
        "name": name,
        "enable": True,
        "datasource": SOURCE,
        "iconColor": colour,
        "expr": expr,
        "titleFormat": title,
        "textFormat": text,
        "step": "15s",
        "useValueForTime": True,
    }


def _failures(variables: Sequence[str]) -> dict[str, Any]:
    engines = ',vllmd_engine=~"$engine"' if "engine" in variables else ""
    chosen = f'instance=~"$instance"{engines}'
    return _annotation(
        "Failures",
        "red",
        f"1000 * vllmd_engine_failure_timestamp_seconds{{{chosen}}}",
        "{{instance}} {{vllmd_engine}} ended: {{cause}}",
        "{{explanation}}",
    )


def _xids() -> dict[str, Any]:
    return _annotation(
        "Xids",
        "orange",
        '1000 * vllmd_gpu_xid_last_timestamp_seconds{instance=~"$instance"}',
        "Xid {{xid}} on GPU {{gpu}} of {{instance}}",
        "It asks for: {{action}}",
    )


def _links() -> list[dict[str, Any]]:
    others = {
        "type": "dashboards",
        "title": "vllmd",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }
    runbooks = {
        "type": "link",
        "title": "Runbooks",
        "url": RUNBOOKS,
        "tooltip": "What to do about each alert. Choose one host first: it serves them.",
        "icon": "doc",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
    }
    return [others, runbooks]
