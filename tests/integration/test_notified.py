"""Each alert, as its rules make it, in a real Alertmanager: it alone is told, to whom it is for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.alertmanager import Alertmanager, Sent, alertmanager, unquieted
from tests.helpers.site import wait_for
from tools.timelines import TOLD
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.prometheus import annotations
from vllmd.monitoring.rules import AlertSeverity
from vllmd.monitoring.settings import RuleSettings

FAULTS: Mapping[str, Mapping[str, Any]] = json.loads(TOLD.read_text())
"""What fires through the fault of each alert, of all alerts: test_timelines.py plays it again."""
RECEIVERS = {"critical": "pager", "warning": "team", "none": "dead-mans-switch"}
BECOMES = {"VllmdDiskFilling": "VllmdDiskFull"}
"""What another alert takes over from: a disk that filled up is full."""
OF_A_HOST = {alert.name for alert in every_alert() if alert.of_a_host}
WATCHDOG = next(each for each in every_alert() if each.severity is AlertSeverity.NONE)
LATER = [("", WATCHDOG.name), *((f"{old}:9840", new) for old, new in BECOMES.items())]


def host_of(alert: str) -> str:
    """Return whom an alert's fault is of: the host, or what is above it."""
    return of_whom(FAULTS[alert]["first"][0]["labels"])


def of_whom(labels: Mapping[str, str]) -> str:
    """Return a label `instance`, or `fleet` of what is of no single host."""
    return str(labels.get("instance") or labels.get("fleet", ""))


def tell(made: Alertmanager, when: str) -> None:
    """Let all faults be there at once, each on a host of its own."""
    every = [each for fault in FAULTS.values() for each in fault[when]]
    made.tell(*((each["labels"], each["annotations"]) for each in every))


def test_every_alert_has_a_fault() -> None:
    assert {*FAULTS, WATCHDOG.name} == {alert.name for alert in every_alert()}


def test_each_alert_is_told_alone_and_to_whom_it_is_for(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as made:
        wanted = {host_of(alert): {alert} for alert in FAULTS}
        assert len(wanted) == len(FAULTS), "a host for each"
        with made.silence():
            tell(made, "first")
            unquieted(made, wanted)
        wait_for("all of them", lambda: len(made.sent()) >= len(FAULTS))
        first = list(made.sent())
        assert {of_whom(s.labels): {s.labels["alertname"]} for s in first} == wanted
        assert len(first) == len(FAULTS), "each once"
        for each in first:
            check_words(each)
        # what begins later is quieted by what is known, or takes over from it
        tell(made, "later")
        wanted |= {host_of(old): {new} for old, new in BECOMES.items()}
        unquieted(made, wanted)
        made.tell(watchdog())
        wait_for("what came later", lambda: later(made, len(first)) >= {*LATER})
        assert later(made, len(first)) == {*LATER}


def later(made: Alertmanager, begin: int) -> set[tuple[str, str]]:
    """Return host and name of what was told after the first messages."""
    return {
        (of_whom(each.labels), each.labels["alertname"])
        for each in made.sent()[begin:]
        if each.status == "firing"
    }


def watchdog() -> tuple[dict[str, str], dict[str, str]]:
    labels = {"alertname": WATCHDOG.name, "severity": str(WATCHDOG.severity)}
    return labels, annotations(WATCHDOG, RuleSettings())


def check_words(sent: Sent) -> None:
    name, words = sent.labels["alertname"], sent.annotations
    assert sent.status == "firing"
    assert sent.receiver == RECEIVERS[sent.labels["severity"]], name
    assert words["description"].endswith(f" Run: {words['next']}"), name
    host = sent.labels.get("instance")
    if host is not None:
        assert host in words["summary"], name
    if name in OF_A_HOST:  # a host that is missing serves no page
        assert words["runbook_url"].startswith(f"http://{host}/runbooks/{name}"), name
    for text in words.values():
        assert "<no value>" not in text, name
        assert "{{" not in text, name
        assert "error expanding" not in text.lower(), name


@pytest.mark.parametrize("alert", FAULTS)
def test_fault_begins_with_its_own_alert(alert: str) -> None:
    assert alert in [each["labels"]["alertname"] for each in FAULTS[alert]["first"]]
