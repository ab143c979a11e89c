"""Alerts and recorded series, as data; `prometheus.py` and `grafana.py` write them. Pure."""

import textwrap
from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

ENGINE = "{{ $labels.vllmd_engine }} on {{ $labels.instance }}"
"""How an alert's words name an engine."""
LAST_END = (
    '{{ with printf "vllmd_engine_failure_info{instance=%q, vllmd_engine=%q}" $labels.instance '
    '$labels.vllmd_engine | query }}{{ . | first | label "explanation" }} '
    '(cause: {{ . | first | label "cause" }}){{ end }}'
)
"""Prometheus' template for why an engine ended last; nothing if nobody knows of an end.

Source: template/template.go of Prometheus (`query`, `first`, `label`); Grafana has none of them.
"""
WHY = "vllmd why {{ $labels.vllmd_engine }}"
HOST = "{{ $labels.instance }}"
GPU = "GPU {{ $labels.gpu }} of {{ $labels.instance }}"
BY_ENGINE = "sum by (instance, vllmd_engine)"


class AlertSeverity(StrEnum):
    """Who is told: `critical` wakes somebody, `warning` waits for the morning."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    NONE = "none"
    """The alert that always fires: it shows that alerts arrive."""


def _plain(text: str) -> str:
    return textwrap.dedent(text).strip()


@attrs.frozen
class Alert:
    """One alert. It fires only when a person must act, and says what to do."""

    name: str
    severity: AlertSeverity
    expr: str = attrs.field(converter=_plain)
    summary: str
    """What is wrong: which engine or GPU, and the number."""
    description: str
    """What it means, and what follows."""
    run: str
    """The command to run first, on the host that it is about."""
    wait: str = "0m"
    """Prometheus' `for`: how long the expression must hold."""
    keep: str | None = None
    """Prometheus' `keep_firing_for`: what comes and goes is one alert."""
    of_a_host: bool = True
    """Whether its page is at the host that the label `instance` names: not where it is about no
    host, or about one that is missing."""
    why: str = ""
    """The cause: of a label, or `LAST_END`."""
    labels: Mapping[str, str] = attrs.field(factory=dict)
    """Of the site that it is for."""

    @property
    def of_an_engine(self) -> bool:
        """Whether it is about an engine, and has its label."""
        return "$labels.vllmd_engine" in self.summary

    @property
    def words(self) -> str:
        """What it means, with the command at its end."""
        return f"{self.description} Run: {self.run}"


@attrs.frozen
class RecordingRule:
    """One recorded series."""

    name: str
    expr: str = attrs.field(converter=_plain)
    labels: Mapping[str, str] = attrs.field(factory=dict)
    """Of the site that it is for."""


@attrs.frozen
class RuleGroup:
    """Rules that are evaluated one after another; each file has one group."""

    name: str
    about: str
    """What the file says of itself."""
    rules: Sequence[Alert | RecordingRule]
    interval: str | None = None

    @property
    def alerts(self) -> list[Alert]:
        """The alerts among the rules."""
        return [rule for rule in self.rules if isinstance(rule, Alert)]
