"""Every family of the page, with a query of the dashboards that asks for it."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from tools.reference.markdown import block, code, page, plain
from tools.reference.page_scene import FamilyFacts, families
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.dashboards import DASHBOARDS

ABOUT = """\
`http://HOST:9840/metrics` has vllmd's own families, which are below, and those of each vLLM under
their own names (`vllm:…`) with `vllmd_engine="NAME"` added. It is Prometheus' text format, or
OpenMetrics for who asks for that. What is not known is left out, and is not zero. Names are
stable. [Monitoring](../monitoring.md) says how to scrape it.
"""
SECTIONS = {
    "engines": ("Engines", "Whether each serves, in which state it is, how it ended and why."),
    "vllm": (
        "Requests",
        "Made of vLLM's page, under one set of names, whatever its release calls them.",
    ),
    "traces": (
        "Requests by adapter, from spans",
        "Of clients that send `tracestate`: see [traces](../traces.md). Histograms have exemplars.",
    ),
    "gpus": ("GPUs", "What they mean, and what NVML cannot be trusted with: [GPUs](../gpu.md)."),
    "adapters": ("Adapters", "Each adapter that is wanted: see [LoRA](../lora.md)."),
    "probes": ("Answers", "Whether they are right: see [probe](../probe.md)."),
    "cost": ("Cost", "What serving costs: see [cost](../cost.md)."),
    "usage": ("Processes of engines", "CPU and memory of each engine's whole tree of processes."),
    "pages": ("Reading of vLLM's pages", "Whether vLLM's own page can be read."),
    "doubts": ("Doubts about a start", "What [the doctor](../doctor.md) says of it."),
    "logs": ("Logs", "What the engines printed: see [logs](../logs.md)."),
    "history": ("History", "Whether events are kept."),
    "marks": ("Events", "When the newest were: graphs are marked with them."),
    "notifications": ("Notifications", "What became of what a webhook is sent."),
    "config": ("Configuration", "Whether the daemon runs with what the file says."),
    "connections": ("Connections", "Who is connected to the daemon's listeners."),
    "filesystems": ("Room on disks", "Where vllmd writes."),
    "parts": ("Parts of the daemon", "What failed within it, and was started again."),
    "process": ("The daemon's process", "Beside `process_*`, which every exporter has."),
    "collectors": ("Collectors", "How what makes this page fares."),
    "build": ("Version", "Which vllmd this is."),
}
UNITS = (
    ("_timestamp_seconds", "Unix time in seconds"),
    ("_ratio", "0 to 1"),
    ("_ratio_min", "0 to 1"),
    ("_seconds", "seconds"),
    ("_seconds_total", "seconds"),
    ("_bytes", "bytes"),
    ("_bytes_total", "bytes"),
    ("_joules_total", "joules"),
    ("_watts", "watts"),
    ("_hertz", "hertz"),
    ("_celsius", "degrees Celsius"),
    ("_tokens", "tokens"),
    ("_nats", "nats"),
)
_VARIABLE = re.compile(r',?\s*\w+=~"\$\w+"\s*')


def metrics() -> str:
    """Return the page."""
    found = families()
    assert set(found) == set(SECTIONS), "each collector has its section"
    parts = [
        "Queries are those of [the dashboards](../monitoring.md#grafana), of all hosts and engines."
    ]
    for name, (title, about) in SECTIONS.items():
        parts += [f"## {title}", about]
        for family in found[name]:
            parts += _section(family)
    return page("Metrics", ABOUT, parts)


def _section(family: FamilyFacts) -> Iterator[str]:
    yield f"### {family.name}"
    yield plain(family.help)
    facts = [family.type]
    if unit := unit_of(family):
        facts.append(f"in {unit}" if not unit.startswith(("0", "Unix")) else unit)
    labels = ", ".join(map(code, family.labels))
    facts.append(f"labels: {labels}" if labels else "no labels")
    asking = [f"[{name}](../runbooks/{name}.md)" for name in _alerts_of(family)]
    if asking:
        facts.append(f"alerts: {', '.join(asking)}")
    yield " · ".join(facts)
    yield block(query(family), "promql")


def unit_of(family: FamilyFacts) -> str:
    """Return the unit, which Prometheus' names end with; nothing for what is counted or is 1."""
    fitting = [words for suffix, words in UNITS if family.name.endswith(suffix)]
    return fitting[0] if fitting else ""


def query(family: FamilyFacts) -> str:
    """Return the shortest query of a dashboard that asks for a family, or what its type asks."""
    asked = [expr for expr in _panel_queries() if _names(family).search(expr)]
    if family.type == "counter":
        asked = [expr for expr in asked if "rate(" in expr or "increase(" in expr]
    if asked:
        return min(asked, key=lambda expr: (len(expr), expr))
    by = ", ".join(("instance", *(label for label in family.labels if label != "uuid")))
    if family.type == "histogram":
        return f"histogram_quantile(0.95, sum by ({by}, le) (rate({family.name}_bucket[5m])))"
    if family.type == "counter":
        return f"sum by ({by}) (increase({family.name}[1h]))"
    return family.name


def _alerts_of(family: FamilyFacts) -> list[str]:
    return [alert.name for alert in every_alert() if _names(family).search(alert.expr)]


def _names(family: FamilyFacts) -> re.Pattern[str]:
    parts = "(?:_bucket|_count|_sum)?" if family.type == "histogram" else ""
    return re.compile(rf"\b{family.name}{parts}\b")


@cache
def _panel_queries() -> tuple[str, ...]:
    """Return the queries of all panels that need no variable of a dashboard."""
    found = [expr for build in DASHBOARDS.values() for expr in _expressions(build())]
    cleaned = [_without_variables(expr) for expr in found]
    return tuple(dict.fromkeys(expr for expr in cleaned if "$" not in expr and "\n" not in expr))


def _expressions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for each in node.values():
            yield from _expressions(each)
    elif isinstance(node, list):
        for each in node:
            yield from _expressions(each)


def _without_variables(expr: str) -> str:
    expr = _VARIABLE.sub("", expr.replace("$__rate_interval", "5m").replace("$__range", "1d"))
    return re.sub(r"\{,\s*", "{", expr).replace("{}", "")
