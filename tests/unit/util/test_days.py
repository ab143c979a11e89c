from pathlib import Path

from vllmd.util.days import day_of, days_in, remove_old
from vllmd.util.units import DAY_S

NOON = 1_000_000 * 3600.0


def write(folder: Path, *days: int) -> None:
    for day in days:
        (folder / f"{day_of(NOON + day * DAY_S)}.json").write_text("{}")


def test_days_are_those_of_utc_the_oldest_first(tmp_path: Path) -> None:
    write(tmp_path, 1, 0)
    (tmp_path / "state.json").write_text("{}")
    assert day_of(0.0) == "1970-01-01"
    assert days_in(tmp_path) == [day_of(NOON), day_of(NOON + DAY_S)]
    assert days_in(tmp_path / "gone") == []


def test_what_is_too_old_is_removed(tmp_path: Path) -> None:
    write(tmp_path, *range(5))
    remove_old(tmp_path, NOON + 4 * DAY_S, 2 * DAY_S)
    assert days_in(tmp_path) == [day_of(NOON + day * DAY_S) for day in (2, 3, 4)]


def test_a_clock_that_is_a_year_ahead_removes_nothing_that_is_to_be_kept(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2)
    remove_old(tmp_path, NOON + 400 * DAY_S, 3 * DAY_S)
    assert len(days_in(tmp_path)) == 3
    write(tmp_path, 400)
    remove_old(tmp_path, NOON + 400 * DAY_S, 3 * DAY_S)
    assert days_in(tmp_path) == [day_of(NOON + day * DAY_S) for day in (1, 2, 400)]
