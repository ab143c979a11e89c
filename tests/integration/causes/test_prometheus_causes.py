"""What the alert about no host at all is for, done to a Prometheus."""

from pathlib import Path

from tests.helpers.ports import free_port
from tests.helpers.prometheus import prometheus
from tests.helpers.site import needs, wait_for
from tests.integration.causes.conftest import about
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.prometheus import rule_file
from vllmd.monitoring.settings import RuleSettings

FIRES = 'ALERTS{alertname!="VllmdWatchdog"}'


def rules(folder: Path) -> Path:
    """Write all alerts, of which each waits a second."""
    folder.mkdir()
    settings = RuleSettings()
    for name, make in ALERTS.items():
        lines = rule_file(make(settings), settings).splitlines(keepends=True)
        text = "".join("        for: 1s\n" if "  for: " in each else each for each in lines)
        (folder / f"{name}.yml").write_text(text)
    return folder


@about("VllmdAbsent")
def test_prometheus_that_is_not_told_of_vllmd(alert: str, tmp_path: Path) -> None:
    """Its configuration has another job; what that finds there makes no difference."""
    needs("prometheus")
    target, written = f"127.0.0.1:{free_port()}", rules(tmp_path / "rules")
    with prometheus(tmp_path / "without", target, [written], {"node": ""}) as without:
        wait_for(alert, lambda: without.value(f'{FIRES[:-1]},alertstate="firing"}}'))
        (found,) = without.query(FIRES)
        assert found["metric"]["alertname"] == alert
