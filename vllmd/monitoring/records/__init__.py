"""All recorded series: what dashboards and alerts would otherwise compute again and again."""

from collections.abc import Callable, Mapping

from vllmd.monitoring.records import cost, replicas, slo
from vllmd.monitoring.rules import RuleGroup
from vllmd.monitoring.settings import RuleSettings

RECORDS: Mapping[str, Callable[[RuleSettings], RuleGroup]] = {
    "slo": slo.group,
    "cost": cost.group,
    "replicas": replicas.group,
}
"""The name of each file, and what makes its group."""
