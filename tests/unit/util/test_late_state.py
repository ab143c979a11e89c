from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.late_disk import LateDisk
from vllmd.util.disk_thread import Work
from vllmd.util.late_state import LateState
from vllmd.util.state_file import StateFile


def count(record: Mapping[str, Any]) -> int:
    return int(record["count"])


def file(path: Path) -> StateFile:
    return StateFile(path, if_unusable="", if_not_written="")


@pytest.mark.parametrize("there", [True, False])
def test_what_was_read_late_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    path, works = tmp_path / "f.json", list[Work]()
    if there:
        file(path).save({"count": 3})
    disk = LateDisk(monkeypatch)
    late = LateState(file(path), count, lambda work, _=None, /: works.append(work))
    assert late.load() is None
    assert late.problem is not None
    late.ask_again()
    works.pop()()
    assert (late.take(), late.problem is None) == (None, False)
    disk.late = False
    late.ask_again()
    assert late.take() is None, "nobody has waited for the disk yet"
    works.pop()()
    assert late.problem is None
    assert late.take() == (3 if there else None)
    assert late.take() is None
    late.ask_again()
    assert works == []


def test_what_is_read_at_once_is_never_late(tmp_path: Path) -> None:
    file(tmp_path / "f.json").save({"count": 3})
    late = LateState(file(tmp_path / "f.json"), count)
    assert (late.load(), late.problem) == (3, None)
    late.read_again()
    assert late.take() is None
