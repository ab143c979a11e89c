"""A real Prometheus and Alertmanager, as etc/ configures them, on a clock 60 times as fast."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import yaml

from tests.helpers.ports import free_port
from tests.helpers.prometheus import Prometheus
from tests.helpers.receiver import receiver
from tests.helpers.servers import running
from tests.helpers.site import wait_for
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.prometheus import rule_file
from vllmd.monitoring.records import RECORDS
from vllmd.monitoring.rules import Alert, RecordingRule, RuleGroup
from vllmd.monitoring.settings import RuleSettings

ETC = Path(__file__).parents[2] / "etc"
WATCHDOG = "VllmdWatchdog"
SECONDS = {"m": 1, "h": 60, "d": 1440}
"""A minute is a second here."""


def faster(group: RuleGroup) -> RuleGroup:
    """Return a group whose windows, waits and trends are 60 times shorter."""

    def rule(each: Alert | RecordingRule) -> Alert | RecordingRule:
        expr = re.sub(
            r"(\[|offset )(\d+)([mhd])\b",
            lambda m: f"{m[1]}{int(m[2]) * SECONDS[m[3]]}s",
            each.expr,
        )
        expr = expr.replace("* 3600", "* 60").replace("< 900", "< 15")
        if isinstance(each, RecordingRule):
            return attrs.evolve(each, expr=expr)
        return attrs.evolve(each, expr=expr, wait=_short(each.wait), keep=each.keep and "15s")

    return attrs.evolve(group, rules=[rule(each) for each in group.rules], interval="1s")


def _short(duration: str) -> str:
    return f"{int(duration[:-1]) * SECONDS[duration[-1]]}s"


@attrs.define
class Message:
    """One alert as the webhook got it."""

    alert: str
    instance: str
    status: str
    receiver: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Pager:
    """What arrived at the other end of Alertmanager."""

    def __init__(self, stored: Prometheus, bodies: list[bytes], config: Path) -> None:
        self.stored = stored
        self._bodies = bodies
        self._config = config
        self._read: list[Message] = []
        self._next = 0

    def messages(self) -> list[Message]:
        """Return all alerts of all messages, the oldest first."""
        for body in self._bodies[self._next :]:
            self._next += 1
            message = json.loads(body)
            self._read += [
                Message(
                    each["labels"]["alertname"],
                    each["labels"].get("instance", ""),
                    each["status"],
                    message["receiver"],
                    each["labels"],
                    each["annotations"],
                )
                for each in message["alerts"]
            ]
        return list(self._read)

    def firing(self, instance: str) -> set[str]:
        """Return what fires at a host, by the newest message about each."""
        state = {m.alert: m.status for m in self.messages() if m.instance == instance}
        return {alert for alert, status in state.items() if status == "firing"}


class Host:
    """One host under faults."""

    def __init__(self, pager: Pager, address: str) -> None:
        self._pager = pager
        self.address = address

    @contextmanager
    def fault(self, *expected: str, calm_s: float = 4.0, within_s: float = 60) -> Iterator[None]:
        """Inject in the block; then the alerts have to come, and no other, until it is calm."""
        before = self._pager.firing(self.address)
        yield

        def new() -> set[str]:
            return self._pager.firing(self.address) - before

        wait_for(f"{expected}", lambda: set(expected) <= new(), within_s)
        time.sleep(calm_s)
        assert new() == set(expected)

    def wait_firing(self, *alerts: str, within_s: float = 60) -> None:
        """Wait until it is told that these fire."""
        wait_for(f"{alerts}", lambda: set(alerts) <= self._pager.firing(self.address), within_s)

    def wait_over(self, *alerts: str, within_s: float = 60) -> None:
        """Wait until it is told that these are over."""
        wait_for(
            f"the end of {alerts}",
            lambda: not set(alerts) & self._pager.firing(self.address),
            within_s,
        )


@contextmanager
def paging(folder: Path, targets: list[str], settings: RuleSettings) -> Iterator[Pager]:
    """Run both as etc/ has them: only addresses, folders and times are others."""
    folder.mkdir()
    files: Mapping[str, Any] = {"records": RECORDS, "alerts": ALERTS}
    (folder / "rules").mkdir()
    for kind, groups in files.items():
        for name, make in groups.items():
            text = rule_file(faster(make(settings)), settings)
            (folder / "rules" / f"{kind}-{name}.yml").write_text(text)
    metrics, alerts = (f"127.0.0.1:{free_port()}" for _ in range(2))
    config = yaml.safe_load((ETC / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
    }
    config["rule_files"] = [
        each.replace("/etc/prometheus/vllmd", f"{folder}/rules") for each in config["rule_files"]
    ]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alerts]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = targets
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with receiver("") as (url, bodies):
        text = (ETC / "alertmanager" / "alertmanager.yml").read_text()
        text = text.replace("http://127.0.0.1:9095/", url)
        text = re.sub(r"group_wait: \w+", "group_wait: 0s", text)
        text = re.sub(r"group_interval: \w+", "group_interval: 1s", text)
        (folder / "alertmanager.yml").write_text(text)
        made = Prometheus(f"http://{metrics}")
        with (
            running(
                "prometheus-alertmanager",
                f"--config.file={folder}/alertmanager.yml",
                f"--storage.path={folder}/alertmanager",
                f"--web.listen-address={alerts}",
                "--cluster.listen-address=",
                log=folder / "alertmanager.log",
                up=lambda: _answers(f"http://{alerts}/-/ready"),
            ),
            running(
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={metrics}",
                "--web.enable-lifecycle",
                # what fires before Alertmanager was found is told again after this time
                "--rules.alert.resend-delay=5s",
                log=folder / "prometheus.log",
                up=lambda: made.query("vector(1)"),
            ),
        ):
            yield Pager(made, bodies, folder / "prometheus.yml")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
