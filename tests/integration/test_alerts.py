"""Alert and recording rules by the real promtool, and what they ask of real pages."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers.site import needs, wait_for
from tests.helpers.used import ELSEWHERE, used_names
from tests.integration.conftest import COST, serving

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "dashboards").glob("*/*.yml"))
TESTS = [path for path in RULES if path.parent.name == "tests"]


MORE = (
    COST
    + """
[fleet]
name = "prod"
hosts = ["127.0.0.1"]

[engines.chat.probe]
"""
)
"""Tables without which a page has none of the families of some rules."""
OF_MORE = frozenset({"vllmd_fleet_min_ready", "vllmd_probe_verdict"})
"""What these show, and no other page."""


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


def test_rules_use_only_what_a_page_has(tmp_path: Path) -> None:
    with serving(tmp_path, more=MORE) as made:
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
    assert set(ELSEWHERE) & names == OF_MORE, "what is on the page is not elsewhere"
