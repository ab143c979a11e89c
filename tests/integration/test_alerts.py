"""Alert and recording rules by the real promtool, their runbooks, and what they ask of a page."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.site import needs
from tests.integration.conftest import COST, serving
from vllmd.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "dashboards").glob("*/*.yml"))
ALERTS = [path for path in RULES if path.parent.name == "alerts"]
TESTS = [path for path in RULES if path.parent.name == "tests"]
NAMES = sorted(name for path in ALERTS for name in re.findall(r"- alert: (\w+)", path.read_text()))
SECTIONS = ("What it means", "How bad", "First look", "Likely causes", "Fix", "Wake somebody else")


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
    assert not cases[-1][1], "the last case shows that it ends"


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_runbook_whose_commands_exist(name: str) -> None:
    text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for section in SECTIONS:
        assert f"\n## {section}" in text, section
    for command in re.findall(r"(?:^|`)vllmd ([a-z]+)", text, re.MULTILINE):
        assert command in COMMANDS, command
    rules = "".join(path.read_text() for path in ALERTS)
    assert f"runbook: docs/runbooks/{name}.md" in rules


def test_every_runbook_is_of_an_alert() -> None:
    assert sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")) == NAMES


def test_rules_use_only_what_a_page_has(tmp_path: Path) -> None:
    used: set[str] = set()
    for path in RULES:
        if path not in TESTS:
            used |= set(re.findall(r"\bvllmd_[a-z_]+\b", path.read_text()))
    used -= {"vllmd_engine"}  # a label
    with serving(tmp_path, more=COST) as made:
        made.chat("sql")
        page = made.metrics()
    names = set(re.findall(r"^(vllmd_\w+)[{ ]", page, re.MULTILINE))
    assert used
    assert used <= names, json.dumps(sorted(used - names))
