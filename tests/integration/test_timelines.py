"""What each alert does through its fault, played by the real promtool."""

import json
from pathlib import Path

import pytest

from tests.timelines.faults import every_fault
from tests.timelines.outcome import complaints, play
from tests.timelines.signals import Fault
from tools.timelines import KEPT

TOLD = json.loads(KEPT.read_text())


def test_each_fault_is_kept() -> None:
    assert list(TOLD) == [fault.alert for fault in every_fault()], "run 'make timelines'"


@pytest.mark.parametrize("fault", every_fault(), ids=lambda fault: fault.alert)
def test_alert_does_what_the_table_says_and_nothing_wrong(fault: Fault, tmp_path: Path) -> None:
    told = TOLD.get(fault.alert)
    outcome = play(fault, tmp_path, told["scenes"]["fires"][0] if told else None)
    assert list(complaints(outcome)) == []
    assert outcome.to_json() == told, f"run 'make timelines NAMES={fault.alert}'"
