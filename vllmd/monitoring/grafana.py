"""The same alerts as Grafana manages them: a file for its folder provisioning/alerting. Pure.

Grafana has no recorded series of its own here: those stay with Prometheus.

Source: Grafana's file provisioning, apiVersion 1, as 10.4 to 13 read it.
"""

import re
from collections.abc import Iterator, Sequence

from vllmd.monitoring.prometheus import annotations, block, labels_of
from vllmd.monitoring.rules import Alert, RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted

WINDOW_S = 600


def provisioning(groups: Sequence[RuleGroup], settings: RuleSettings, datasource: str) -> str:
    """Return the file; `datasource` is the uid of the Prometheus that scrapes vllmd."""
    return "\n".join(_file(groups, settings, datasource)) + "\n"


def _file(groups: Sequence[RuleGroup], settings: RuleSettings, datasource: str) -> Iterator[str]:
    yield "# vllmd's alerts, managed by Grafana. Take these or Prometheus' rule files, not both."
    yield "# Made by vllmd: 'vllmd rules export --format grafana --help' has every threshold."
    yield "apiVersion: 1"
    yield "groups:"
    for group in groups:
        yield "  - orgId: 1"
        yield f"    name: {group.name}"
        yield "    folder: vllmd"
        yield f"    interval: {group.interval or '1m'}"
        yield "    rules:"
        for alert in group.alerts:
            yield from _alert(alert, settings, datasource)


def _alert(alert: Alert, settings: RuleSettings, datasource: str) -> Iterator[str]:
    yield f"      - uid: {_uid(alert.name)}"
    yield f"        title: {alert.name}"
    yield "        condition: B"
    yield "        data:"
    yield "          - refId: A"
    yield f"            relativeTimeRange: {{from: {WINDOW_S}, to: 0}}"
    yield f"            datasourceUid: {quoted(datasource)}"
    yield "            model:"
    yield "              refId: A"
    yield "              instant: true"
    yield "              expr: |"
    yield from block(alert.expr, 16)
    # Prometheus' comparisons leave out what is well, and a value of 0 may be what is not
    yield "          - refId: B"
    yield f"            relativeTimeRange: {{from: {WINDOW_S}, to: 0}}"
    yield "            datasourceUid: __expr__"
    yield '            model: {refId: B, type: math, expression: "is_number($A)"}'
    yield "        noDataState: OK"
    yield "        execErrState: Error"
    yield f"        for: {alert.wait}"
    if alert.keep:
        yield f"        keep_firing_for: {alert.keep}"
    severity = {settings.severity_label: str(alert.severity)}
    yield f"        labels: {labels_of({**severity, **alert.labels})}"
    yield "        annotations:"
    for name, text in annotations(alert, settings, queries=False).items():
        yield f"          {name}: {quoted(_words(text))}"


def _uid(name: str) -> str:
    """Return an identifier of its own that Grafana takes: at most 40 of these characters."""
    return "-".join(part.lower() for part in re.findall("[A-Z][a-z]+", name))


def _words(text: str) -> str:
    """Return a template for Grafana, where `$value` is all of a rule's values in words."""
    return text.replace("$value", "$values.A.Value")
