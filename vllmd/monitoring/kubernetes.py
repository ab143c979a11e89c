"""The same rules as Prometheus' operator takes them: one object. Pure.

Source: the Prometheus operator's API, monitoring.coreos.com/v1, PrometheusRule.
"""

from collections.abc import Iterator, Mapping, Sequence

from vllmd.monitoring.prometheus import MADE_BY, group_lines, label_of
from vllmd.monitoring.rules import RuleGroup
from vllmd.monitoring.settings import RuleSettings, quoted


def prometheus_rule(
    groups: Sequence[RuleGroup], settings: RuleSettings, labels: Mapping[str, str], name: str
) -> str:
    """Return the object; by its `labels` an operator chooses what it takes."""
    return "\n".join(_object(groups, settings, labels, name)) + "\n"


def _object(
    groups: Sequence[RuleGroup], settings: RuleSettings, labels: Mapping[str, str], name: str
) -> Iterator[str]:
    yield "# vllmd's alerts and recorded series, for Prometheus' operator."
    yield MADE_BY
    yield "apiVersion: monitoring.coreos.com/v1"
    yield "kind: PrometheusRule"
    yield "metadata:"
    yield f"  name: {quoted(name)}"
    if labels:
        yield "  labels:"
        for label, value in labels.items():
            yield f"    {label_of(label, value)}"
    yield "spec:"
    yield "  groups:"
    for group in groups:
        for line in group_lines(group, settings):
            yield f"  {line}"
