import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.late_disk import LateDisk
from vllmd.cost.day_files import DayFiles, merge
from vllmd.cost.usage import Activity, HourUsage, Usage
from vllmd.errors import VllmdError
from vllmd.events.daemon import StateFileNotWritten, StateFileUnreadable
from vllmd.util.days import day_of
from vllmd.util.state_file import NotRead
from vllmd.util.units import DAY_S

NOON = 1_700_000_000 // DAY_S * DAY_S + 12 * 3600
STATE = {"at_ns": 5, "engines": {}}


def slot(hour: int = NOON, activity: str = "busy") -> HourUsage:
    return HourUsage(hour, "chat", Activity(activity))


def test_days_are_read_as_they_were_written(tmp_path: Path) -> None:
    day_files = DayFiles(tmp_path, 400)
    slots = {slot(): Usage(1), slot(NOON + DAY_S): Usage(2)}
    day_files.write(slots, STATE, NOON + DAY_S)
    assert day_files.days() == [day_of(NOON), day_of(NOON + DAY_S)]
    again = DayFiles(tmp_path, 400)
    assert again.read(NOON, NOON + DAY_S, {}) == slots
    assert again.read(NOON + DAY_S, NOON + DAY_S, {}) == {slot(NOON + DAY_S): Usage(2)}
    assert again.read_day(day_of(NOON)) == ({slot(): Usage(1)}, STATE)


def test_a_day_is_there_with_its_state_before_anything_was_used(tmp_path: Path) -> None:
    DayFiles(tmp_path, 400).write({}, STATE, NOON)
    assert DayFiles(tmp_path, 400).read_day(day_of(NOON)) == ({}, STATE)


def test_what_a_day_had_before_is_added_to_once(tmp_path: Path) -> None:
    DayFiles(tmp_path, 400).write({slot(): Usage(10), slot(activity="idle"): Usage(1)}, STATE, NOON)
    day_files = DayFiles(tmp_path, 400)
    for duration in (1, 2, 3):
        new = {slot(): Usage(duration)}
        assert day_files.read(NOON, NOON, new)[slot()] == Usage(10 + duration)
        day_files.write(new, STATE, NOON)
        assert day_files.read(NOON, NOON, new)[slot()] == Usage(10 + duration)
    assert DayFiles(tmp_path, 400).read(NOON, NOON, {}) == {
        slot(): Usage(13),
        slot(activity="idle"): Usage(1),
    }


def test_what_comes_late_for_a_day_that_was_forgotten_is_added(tmp_path: Path) -> None:
    day_files = DayFiles(tmp_path, 400)
    day_files.write({slot(): Usage(5)}, STATE, NOON)
    day_files.forget_before(NOON + DAY_S)
    day_files.write({slot(): Usage(1)}, STATE, NOON + DAY_S)
    assert day_files.read(NOON, NOON, {slot(): Usage(1)}) == {slot(): Usage(6)}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"slots": [{"hour": 1}], "state": {}}'])
def test_a_damaged_day_is_set_aside_and_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "usage" / f"{day_of(NOON)}.json"
    path.parent.mkdir()
    path.write_text(text)
    with capture_logs() as logs:
        assert DayFiles(tmp_path, 400).read(NOON, NOON, {}) == {}
    assert [log["event"] for log in logs] == [StateFileUnreadable.name]
    assert path.with_name(f"{path.name}.unusable").read_text() == text


def test_a_full_disk_is_said_once_and_what_it_missed_is_written_later(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text("in the way")
    day_files = DayFiles(tmp_path, 400)
    with capture_logs() as logs:
        for _ in range(3):
            day_files.write({slot(): Usage(1)}, STATE, NOON)
    assert [log["event"] for log in logs] == [StateFileNotWritten.name] * 2
    (tmp_path / "usage").unlink()
    day_files.write({slot(): Usage(2)}, STATE, NOON)
    assert DayFiles(tmp_path, 400).read(NOON, NOON, {}) == {slot(): Usage(2)}


def test_prune_removes_what_is_too_old(tmp_path: Path) -> None:
    day_files = DayFiles(tmp_path, 2)
    for day in range(5):
        day_files.write({slot(NOON + day * DAY_S): Usage(1)}, STATE, NOON + day * DAY_S)
    day_files.prune(NOON + 4 * DAY_S)
    assert day_files.days() == [day_of(NOON + day * DAY_S) for day in (2, 3, 4)]


def test_the_state_is_that_of_the_last_writing_whatever_the_clock_said(tmp_path: Path) -> None:
    day_files, found = DayFiles(tmp_path, 400), list[object]()
    assert not day_files.read_state(found.append)
    day_files.write({}, {**STATE, "at_ns": 1}, NOON + 300 * DAY_S)
    day_files.write({}, {**STATE, "at_ns": 2}, NOON)
    assert DayFiles(tmp_path, 400).read_state(found.append)
    assert found == [{**STATE, "at_ns": 2}]


def test_a_file_is_plain_json(tmp_path: Path) -> None:
    DayFiles(tmp_path, 400).write({slot(): Usage(7)}, STATE, NOON)
    path, state = sorted((tmp_path / "usage").iterdir())
    assert json.loads(state.read_text())["state"] == STATE
    assert json.loads(path.read_text())["slots"][0]["duration_ns"] == 7


def test_merge_adds_what_is_in_both() -> None:
    assert merge({slot(): Usage(1)}, {slot(): Usage(2)}) == {slot(): Usage(3)}


def test_day_that_is_not_read_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DayFiles(tmp_path, 400).write({slot(): Usage(10)}, STATE, NOON)
    day_files, disk = DayFiles(tmp_path, 400), LateDisk(monkeypatch)
    resumed = list[object]()
    assert isinstance(day_files.read_state(resumed.append), NotRead)
    day_files.write({slot(): Usage(1)}, {**STATE, "at_ns": 6}, NOON)
    with pytest.raises(VllmdError, match=f"{day_of(NOON)} cannot be read.*try again"):
        day_files.read(NOON, NOON, {})
    disk.late = False
    assert day_files.read_state(resumed.append) is True
    assert resumed == [STATE]
    day_files.write({slot(): Usage(3)}, STATE, NOON)
    assert DayFiles(tmp_path, 400).read(NOON, NOON, {}) == {slot(): Usage(13)}
