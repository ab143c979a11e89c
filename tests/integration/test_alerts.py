"""Alert and recording rules by the real promtool, and what they ask of real pages."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.site import needs, wait_for
from tests.helpers.used import ELSEWHERE, used_names
from tests.integration.conftest import COST, serving
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.rules import AlertSeverity

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "dashboards").glob("*/*.yml"))
TESTS = [path for path in RULES if path.parent.name == "tests"]
NAMES = [alert.name for alert in every_alert() if alert.severity is not AlertSeverity.NONE]


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    needs("promtool")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_rules_are_valid() -> None:
    files = [str(path) for path in RULES if path not in TESTS]
    checked = promtool("check", "rules", *files)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "duplicate" not in checked.stdout + checked.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_their_cases_say(path: Path) -> None:
    tested = promtool("test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_case_that_fires_one_that_does_not_and_its_end(name: str) -> None:
    cases = [
        (case["eval_time"], bool(case["exp_alerts"]))
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == name
    ]
    assert {fires for _, fires in cases} == {True, False}
    assert not cases[0][1], "the first case shows that it waits"
    assert not cases[-1][1], "the last case shows that it ends"


@pytest.mark.parametrize("name", NAMES)
def test_cases_hold_something_that_must_not_fire(name: str) -> None:
    """The case that fires names fewer than there are: the others are what looks like it."""
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", ()):
                if case["alertname"] == name and case["exp_alerts"]:
                    series = {each["series"] for each in test["input_series"]}
                    assert len(series) > len(case["exp_alerts"])


def test_rules_use_only_what_a_page_has(tmp_path: Path) -> None:
    with serving(tmp_path, more=COST) as made:
        made.chat("sql")
        names: set[str] = set()

        def all_are_there() -> bool:
            page = made.metrics()
            names.update(re.findall(r"^(vllmd_\w+)[{ ]", page, re.MULTILINE))
            return used_names() <= names | set(ELSEWHERE)

        try:
            wait_for("all that rules ask for", all_are_there, 20)
        finally:
            print("missing:", json.dumps(sorted(used_names() - names - set(ELSEWHERE))))
    assert len(names & used_names()) > 30
    assert not set(ELSEWHERE) & names, "what is on the page is not elsewhere"
