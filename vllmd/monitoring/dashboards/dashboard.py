"""A dashboard around its panels: variables, links, annotations. Pure."""

from collections.abc import Sequence
from typing import Any

from vllmd.monitoring.dashboards.panels import SCHEMA_VERSION, SOURCE, PanelRow, place

TAG = "vllmd"
RUNBOOKS = "http://$instance/runbooks/"
"""Where the pages are of a dashboard of one host: each vllmd serves its own."""
FAILURES = ("failed", "stalled", "held", "gpu_lost", "daemon_failed")
FAULTS = ("xid", "adapter_failed", "config_refused", "weights_lost")
CHANGES = (
    *("started", "ready", "stopped", "asleep", "weights_ready"),
    *("adapter_loaded", "adapter_unloaded", "config_reloaded", "daemon_started", "gpu_found"),
)
"""The words of `vllmd_event_timestamp_seconds`: a test compares them with those that there are."""


def dashboard(
    uid: str,
    title: str,
    help: str,
    rows: Sequence[PanelRow],
    variables: Sequence[str] = ("instance", "engine"),
    single: Sequence[str] = (),
    span: str = "1h",
) -> dict[str, Any]:
    """Return a dashboard; besides the data source and job it has the variables named.

    Of a variable in `single` one value is chosen, else all are until somebody chooses.
    """
    chosen = [_variable(name, single=name in single) for name in ("job", *variables)]
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
        "templating": {"list": [_DATASOURCE, *chosen]},
        "annotations": {
            "list": [
                _marks("Failures", "red", FAILURES, variables),
                _marks("Faults", "orange", FAULTS, variables),
                _marks("Changes", "blue", CHANGES, variables),
            ]
        },
        "links": _links(one_host=bool({"instance", "gpu_host"} & set(single))),
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
    "instance": ("Host", 'label_values(up{job=~"$job"}, instance)'),
    "gpu_host": ("Host", 'label_values(vllmd_gpu_up{job=~"$job"}, instance)'),
    "engine": (
        "Engine",
        'label_values(vllmd_engine_info{instance=~"$instance"}, vllmd_engine)',
    ),
    "model": (
        "Model",
        'label_values(vllmd_tokens_total{instance=~"$instance"}, model_name)',
    ),
    "adapter": (
        "Adapter",
        'label_values(vllmd_span_requests_total{instance=~"$instance"}, adapter)',
    ),
    "gpu": ("GPU", 'label_values(vllmd_gpu_up{instance=~"$instance"}, gpu)'),
}
"""`up` names the hosts that never answered, too."""


def _variable(name: str, *, single: bool) -> dict[str, Any]:
    label, query = _VARIABLES[name]
    everything = {"allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return {
        "name": "instance" if name == "gpu_host" else name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "refresh": 2,
        "sort": 3 if name == "gpu" else 1,
        "multi": not single,
        "includeAll": not single,
        **({"current": {}} if single else everything),
    }


def _marks(
    name: str, colour: str, events: Sequence[str], variables: Sequence[str]
) -> dict[str, Any]:
    """Return marks at the times that are a query's values, in milliseconds: exact at every zoom."""
    engines = ',vllmd_engine=~"$engine|"' if "engine" in variables else ""
    which = f'event=~"{"|".join(events)}",instance=~"$instance"{engines}'
    return {
        "name": name,
        "enable": True,
        "datasource": SOURCE,
        "iconColor": colour,
        "target": {
            "refId": "Anno",
            "datasource": SOURCE,
            # Grafana shows the name of a label that is empty: one label has all that is said
            "expr": f"label_join(1000 * vllmd_event_timestamp_seconds{{{which}}}, "
            '"said", " ", "vllmd_engine", "event", "detail")',
            "interval": "15s",
            "range": True,
            "instant": False,
        },
        "titleFormat": "{{said}}",
        "textFormat": "{{instance}}",
        "useValueForTime": True,
    }


def _links(*, one_host: bool) -> list[dict[str, Any]]:
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
        "tooltip": "What to do about each alert.",
        "icon": "doc",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
    }
    return [others, runbooks] if one_host else [others]
