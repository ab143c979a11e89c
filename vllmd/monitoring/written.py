"""Every file that is made of this package, as text. Pure."""

from vllmd.monitoring import dashboards, grafana, prometheus
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.settings import RuleSettings

DATASOURCE = "prometheus"
"""The uid of the data source that etc/grafana makes."""


def rule_files(settings: RuleSettings) -> dict[str, str]:
    """Return Prometheus' rule files by path: those that record, and those that alert."""
    kinds = {"rules": RECORDS, "alerts": ALERTS}
    return {
        f"{kind}/{name}.yml": prometheus.rule_file(make(settings), settings)
        for kind, groups in kinds.items()
        for name, make in groups.items()
    }


def grafana_alerts(settings: RuleSettings, datasource: str = DATASOURCE) -> str:
    """Return the file of alerts that Grafana manages."""
    groups = [make(settings) for make in ALERTS.values()]
    return grafana.provisioning(groups, settings, datasource)


def dashboard_files() -> dict[str, str]:
    """Return the dashboards' JSON by the name of the file."""
    return {f"{name}.json": dashboards.text(build) for name, build in dashboards.DASHBOARDS.items()}
