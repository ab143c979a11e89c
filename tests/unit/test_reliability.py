"""docs/reliability.md is what the model and the tests' notes make of it."""

import json
import re
from pathlib import Path

import pytest

from tests.chaos.beside import FAULTS, LIMIT_S
from tests.chaos.supervisors import SUPERVISORS, Unit
from tools import chaos_table, reliability, soak_table

ROOT = Path(__file__).parents[2]
NOTED = sorted(reliability.KEPT.glob("*.json"))
TESTS = [path for path in NOTED if not path.stem.startswith((reliability.CHAOS, reliability.SOAK))]


def test_document_is_what_the_repository_ships() -> None:
    assert reliability.TARGET.read_text() == reliability.document(), "run 'make generate'"


def test_every_limit_of_the_supervisor_has_its_reason() -> None:
    named = set(re.findall(r"^\| `[a-zA-Z.]*?\.?(\w+)` \|", reliability.document(), re.MULTILINE))
    assert {
        *("stall_s", "hang_s", "load_stall_s", "diagnose_s"),
        *("initial_s", "max_s", "jitter", "reset_after_s", "max_failures", "window_s"),
        *("hold_retry_s", "unready_s", "drain_s", "stop_grace_s", "poll_s"),
    } <= named


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
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
        reliability.CHAOS,
        reliability.BESIDE,
        reliability.SOAK,
    }


def test_rows_of_chaos_are_good_were_seen_and_lost_nothing_by_vllmd() -> None:
    rows = json.loads((reliability.KEPT / f"{reliability.CHAOS}.json").read_text())["rows"]
    for row in rows:
        assert not row["wrong"], row
        assert len(row["landed"]) == len(row["faults"]), row
        assert row["lost_by_us"] == 0, row
    assert len({(row["faults"][0], row["state"]) for row in rows}) >= 150
    assert {row["way"] for row in rows} == {"alone", "twice", "pair"}


def test_each_fault_was_seen_under_each_supervisor_but_those_that_process_1_does_not_take() -> None:
    rows = json.loads((reliability.KEPT / f"{reliability.BESIDE}.json").read_text())
    noted = {(row["under"], row["fault"]): row["landed"] for row in rows}
    assert set(noted) == {(under, fault) for under in ("vllmd", *SUPERVISORS) for fault in FAULTS}
    assert {key for key, landed in noted.items() if not landed} == {
        (name, fault)
        for name, under in SUPERVISORS.items()
        if issubclass(under, Unit)
        for fault in Unit.NONE
    }


def test_table_of_supervisors_has_what_became_of_each(tmp_path: Path) -> None:
    row = {"fault": "F", "landed": "/proc", "lost": {"cut": 1, "refused": 2}, "left": 1}
    rows = [
        {**row, "under": "a", "serves_after_s": 5.46},
        {**row, "under": "b", "serves_after_s": 0.0},
        {**row, "under": "c", "serves_after_s": None},
        {**row, "under": "d", "serves_after_s": None, "landed": "", "lost": {}, "left": 0},
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    cells = f"5.5 s / 3 / 1 | served on / 3 / 1 | **not within {LIMIT_S:.0f} s** / 3 / 1 | -"
    assert list(chaos_table.beside(path))[-1] == f"| F | {cells} |"


def test_an_hour_of_soak_is_told_with_what_it_lost(tmp_path: Path) -> None:
    noted = json.loads((reliability.KEPT / "soak.json").read_text())
    assert noted["seconds"] >= 3600
    noted["requests lost by vllmd"] = {"e1: cut": 2, "e2: refused": 1}
    (tmp_path / "soak.json").write_text(json.dumps(noted))
    assert "**3 lost by vllmd**" in "\n".join(soak_table.table(tmp_path / "soak.json"))
    assert list(soak_table.table(tmp_path / "none.json")) == []
