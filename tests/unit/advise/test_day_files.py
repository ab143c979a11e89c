import json
from pathlib import Path

import attrs
import pytest

from tests.helpers.late_disk import LateDisk
from vllmd.advise.day_files import ObservedDays
from vllmd.advise.observed import Observed
from vllmd.advise.observer import Slot
from vllmd.errors import VllmdError
from vllmd.util.days import day_of
from vllmd.util.state_file import NotRead
from vllmd.util.units import DAY_S

NOON = 1_000_000 * 3600.0
SEEN = Observed(watched_s=60.0, counts={"finished/stop": 2.0})


def slot(at: float = NOON, command: str = "c") -> Slot:
    return Slot(day_of(at), "chat", command)


def test_what_is_written_is_added_to_its_day_and_read_by_the_next(tmp_path: Path) -> None:
    files = ObservedDays(tmp_path, 90)
    files.add({slot(): SEEN}, {"m": 1})
    files.write(NOON)
    files.add({slot(): SEEN, slot(command="d"): SEEN}, {"m": 2})
    files.write(NOON + 60)
    again = ObservedDays(tmp_path, 90)
    assert again.last() == ({"m": 2}, NOON + 60)
    again.add({slot(): SEEN}, {"m": 3})
    again.write(NOON + 120)
    found = again.read(NOON - DAY_S, NOON)
    assert found[slot()].count("finished") == 6
    assert found[slot(command="d")].watched_s == 60.0
    assert again.read(NOON + DAY_S, NOON + 2 * DAY_S) == {}


def test_what_the_disk_refuses_is_written_when_it_takes_it(tmp_path: Path) -> None:
    files = ObservedDays(tmp_path, 90)
    (tmp_path / "advise").write_text("in the way")
    files.add({slot(): SEEN}, {})
    files.write(NOON)
    (tmp_path / "advise").unlink()
    files.add({}, {})
    files.write(NOON + DAY_S)
    assert ObservedDays(tmp_path, 90).read(NOON, NOON)[slot()] == SEEN


def test_a_damaged_file_costs_its_day(tmp_path: Path) -> None:
    files = ObservedDays(tmp_path, 90)
    files.add({slot(): SEEN}, {})
    files.write(NOON)
    files.add({slot(NOON + DAY_S): SEEN}, {})
    files.write(NOON + DAY_S)
    (tmp_path / "advise" / f"{day_of(NOON)}.json").write_text("{")
    again = ObservedDays(tmp_path, 90)
    assert again.read(NOON, NOON + DAY_S) == {slot(NOON + DAY_S): SEEN}
    assert json.loads((tmp_path / "advise" / f"{day_of(NOON + DAY_S)}.json").read_text())["rows"]


def test_days_that_are_too_old_are_removed(tmp_path: Path) -> None:
    files = ObservedDays(tmp_path, 3)
    for number in range(5):
        files.add({}, {})
        files.write(NOON + number * DAY_S)
    assert files.days() == [day_of(NOON + n * DAY_S) for n in (1, 2, 3, 4)]


def test_day_that_is_not_read_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ObservedDays(tmp_path, 90)
    first.add({slot(): attrs.evolve(SEEN, watched_s=36000.0)}, {"m": 1})
    first.write(NOON)
    files, disk = ObservedDays(tmp_path, 90), LateDisk(monkeypatch)
    files.add({slot(): SEEN}, {"m": 2})
    files.write(NOON)
    with pytest.raises(VllmdError, match=f"{day_of(NOON)} cannot be read.*try again"):
        files.read(NOON, NOON)
    assert isinstance(files.last(), NotRead)
    assert files.waiting
    files.add({slot(): SEEN}, {"m": 3})
    disk.late = False
    assert files.read(NOON, NOON)[slot()].watched_s == 36120
    files.write(NOON + 60)
    again = ObservedDays(tmp_path, 90)
    assert again.read(NOON, NOON)[slot()].watched_s == 36120
    assert again.last() == ({"m": 3}, NOON + 60)
