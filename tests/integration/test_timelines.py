"""What each alert does through its fault, played by the real promtool."""

import json
from pathlib import Path

import pytest

from tests.timelines.beside import through
from tests.timelines.faults import every_fault
from tests.timelines.outcome import complaints, play
from tests.timelines.signals import Fault
from tools.timelines import KEPT, TOLD

KEPT_FAULTS = json.loads(KEPT.read_text())
KEPT_TOLD = json.loads(TOLD.read_text())


def test_each_fault_is_kept() -> None:
    wanted = [fault.alert for fault in every_fault()]
    assert list(KEPT_FAULTS) == list(KEPT_TOLD) == wanted, "run 'make timelines'"


@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.alert)
def test_alert_does_what_the_table_says_and_nothing_wrong(fault: Fault, tmp_path: Path) -> None:
    told = KEPT_FAULTS.get(fault.alert)
    outcome = play(fault, tmp_path, told["scenes"]["fires"][0] if told else None)
    assert list(complaints(outcome)) == []
    assert outcome.to_json() == told, f"run 'make timelines NAMES={fault.alert}'"


@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.alert)
def test_what_alertmanager_is_sent_is_what_all_rules_give(fault: Fault, tmp_path: Path) -> None:
    first, last, _ = KEPT_FAULTS[fault.alert]["scenes"]["fires"]
    found = through(fault, first, last, tmp_path).to_json()
    assert found == KEPT_TOLD[fault.alert], f"run 'make timelines NAMES={fault.alert}'"
