"""Every alert is provoked on a running system, or it is said why not."""

import ast
import re
from pathlib import Path

from tests.integration.causes.table import NOT_PROVOKED, PROVOKED
from vllmd.monitoring.alerts import every_alert

ROOT = Path(__file__).parents[3]
TESTS = sorted((ROOT / "tests" / "integration" / "causes").glob("test_*.py"))
NAMES = {alert.name for alert in every_alert()}


def test_every_alert_is_provoked_or_has_a_reason() -> None:
    assert not set(PROVOKED) & set(NOT_PROVOKED)
    assert {*PROVOKED, *NOT_PROVOKED} == NAMES


def test_each_that_is_provoked_has_its_test_and_no_other_has() -> None:
    found = [
        node.value
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in NAMES
    ]
    assert set(found) == set(PROVOKED)


def test_reason_names_files_that_there_are() -> None:
    for alert, reason in NOT_PROVOKED.items():
        for name in re.findall(r"[\w/]+\.py", reason):
            place = ROOT / name if "/" in name else ROOT / "tests" / "integration" / name
            assert place.exists(), f"{alert}: {name}"
