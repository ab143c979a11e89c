"""Every file that is made of this package, as text. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from vllmd.monitoring import dashboards, grafana, kubernetes, prometheus
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import RuleGroup
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.site import Site

DATASOURCE = "vllmd-prometheus"
"""The uid of the data source that etc/grafana makes."""
NAME = "vllmd"
NONE: Mapping[str, str] = MappingProxyType({})


ANYWHERE = Site()


def rule_files(settings: RuleSettings, site: Site = ANYWHERE) -> dict[str, str]:
    """Return Prometheus' rule files by name: those that record, and those that alert."""
    return {
        f"{name}.yml": prometheus.rule_file(group, settings)
        for name, group in _groups(settings, site).items()
    }


def kubernetes_rules(
    settings: RuleSettings,
    site: Site = ANYWHERE,
    labels: Mapping[str, str] = NONE,
    name: str = NAME,
) -> str:
    """Return the object that Prometheus' operator takes, with these labels and this name."""
    groups = list(_groups(settings, site).values())
    return kubernetes.prometheus_rule(groups, settings, labels, name)


def grafana_alerts(
    settings: RuleSettings, datasource: str = DATASOURCE, site: Site = ANYWHERE
) -> str:
    """Return the file of alerts that Grafana manages."""
    groups = [site.of(make(settings)) for make in ALERTS.values()]
    return grafana.provisioning(groups, settings, datasource)


def _groups(settings: RuleSettings, site: Site) -> dict[str, RuleGroup]:
    """Return the groups by the names of their files: what is recorded comes first."""
    kinds = {"records": RECORDS, "alerts": ALERTS}
    return {
        f"{kind}-{name}": site.of(make(settings))
        for kind, groups in kinds.items()
        for name, make in groups.items()
    }


def dashboard_files() -> dict[str, str]:
    """Return the dashboards' JSON by the name of the file."""
    return {f"{name}.json": dashboards.text(build) for name, build in dashboards.DASHBOARDS.items()}
