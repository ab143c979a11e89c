"""docs/reliability.md is what the model and the tests' notes make of it."""

import json
import re
from pathlib import Path

import pytest

from tools import reliability

ROOT = Path(__file__).parents[2]
NOTED = sorted(reliability.KEPT.glob("*.json"))


def test_document_is_what_the_repository_ships() -> None:
    assert reliability.TARGET.read_text() == reliability.document(), "run 'make generate'"


def test_every_limit_of_the_supervisor_has_its_reason() -> None:
    named = set(re.findall(r"^\| `[a-zA-Z.]*?\.?(\w+)` \|", reliability.document(), re.MULTILINE))
    assert {
        *("stall_s", "hang_s", "load_stall_s", "diagnose_s"),
        *("initial_s", "max_s", "jitter", "reset_after_s", "max_failures", "window_s"),
        *("hold_retry_s", "unready_s", "drain_s", "stop_grace_s", "poll_s"),
    } <= named


@pytest.mark.parametrize(
    "path", [p for p in NOTED if p.stem != reliability.CHAOS], ids=lambda path: path.stem
)
def test_every_noted_outcome_was_noted_by_a_test_that_exists(path: Path) -> None:
    rows = json.loads(path.read_text())
    assert rows
    for row in rows:
        file, _, name = row["test"].partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), row["test"]


def test_both_tiers_and_the_night_have_noted_outcomes() -> None:
    assert {path.stem for path in NOTED} == {
        *reliability.TIERS,
        reliability.STORIES,
        reliability.FAILURES,
    }
