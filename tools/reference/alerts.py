"""Every alert with its runbook, from the rules."""

import re

from tools.reference.markdown import code, page, plain, table
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.rules import Alert
from vllmd.monitoring.settings import RuleSettings

ABOUT = """\
`vllmd rules export` writes them for Prometheus or Grafana, with thresholds of your own
([monitoring](../monitoring.md#alerts)). *critical* wakes somebody, *warning* waits for the
morning. Each leads to its runbook, which the daemon serves too (`http://HOST:9840/runbooks/`,
`vllmd runbook NAME`). [What each does through its fault](timelines.md), minute by minute, is a
page of its own.
"""
TREE = """\
```{toctree}
:hidden:
:glob:

../runbooks/*
```"""


def alerts() -> str:
    """Return the page."""
    parts = []
    for name, make in ALERTS.items():
        group = make(RuleSettings())
        parts += [f"## {name.capitalize()}", plain(group.about)]
        rows = [
            [f"[{a.name}](../runbooks/{a.name}.md)", str(a.severity), a.wait, plain(summary(a))]
            for a in group.alerts
        ]
        parts.append(table(["alert", "severity", "after", "what it says"], rows))
    expressions = [
        [f"[{a.name}](../runbooks/{a.name}.md)", code(a.expr)]
        for make in ALERTS.values()
        for a in make(RuleSettings()).alerts
    ]
    parts += ["## Expressions", "With the thresholds that they have by default."]
    parts += [table(["alert", "expression"], expressions), TREE]
    return page("Alerts", ABOUT, parts)


def summary(alert: Alert) -> str:
    """Return what an alert says, with words in the place of its labels."""
    words = {"vllmd_engine": "ENGINE", "instance": "HOST", "gpu": "N"}
    text = re.sub(
        r"\{\{\s*\$labels\.(\w+)\s*\}\}", lambda m: words.get(m[1], m[1].upper()), alert.summary
    )
    return re.sub(r"\{\{[^}]*\}\}", "…", text)
