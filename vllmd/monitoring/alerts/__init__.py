"""All alerts, one file for each question. One more: a rule here, a case, a runbook."""

from collections.abc import Callable, Mapping

from vllmd.monitoring.alerts import adapters, cost, engine, fleet, gpu, host, serving, vram
from vllmd.monitoring.rules import Alert, RuleGroup
from vllmd.monitoring.settings import RuleSettings

ALERTS: Mapping[str, Callable[[RuleSettings], RuleGroup]] = {
    "engine": engine.group,
    "vram": vram.group,
    "gpu": gpu.group,
    "serving": serving.group,
    "adapters": adapters.group,
    "cost": cost.group,
    "host": host.group,
    "fleet": fleet.group,
}
"""The name of each file, and what makes its group."""


def every_alert(settings: RuleSettings | None = None) -> list[Alert]:
    """Return all alerts."""
    chosen = settings or RuleSettings()
    return [alert for group in ALERTS.values() for alert in group(chosen).alerts]
