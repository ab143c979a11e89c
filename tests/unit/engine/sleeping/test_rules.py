from datetime import UTC, datetime

import attrs
import pytest

from vllmd.config.schedule import schedule
from vllmd.config.sleep import SleepConfig
from vllmd.engine.sleeping import rules
from vllmd.engine.sleeping.rules import IDLE, SCHEDULE, Wish, is_to_change, wanted

WORK = SleepConfig(schedule=attrs.evolve(schedule("Mon-Fri 07:00-19:00"), zone=UTC))
NEVER = SleepConfig()


def at(day: int, hour: int) -> float:
    return datetime(2026, 11, day, hour, tzinfo=UTC).timestamp()  # 30 November is a Monday


def test_without_a_wish_and_a_schedule_nothing_is_wanted() -> None:
    assert wanted(NEVER, None, 1e9, at(30, 12)) is None


def test_schedule_says_what_is_wanted_since_its_last_change() -> None:
    assert wanted(WORK, None, None, at(30, 12)) == Wish(False, SCHEDULE, at(30, 7))
    assert wanted(WORK, None, None, at(30, 20)) == Wish(True, SCHEDULE, at(30, 19))
    assert wanted(WORK, None, None, at(29, 12)) == Wish(True, SCHEDULE, at(27, 19))


def test_what_was_said_holds_until_the_schedule_changes_next() -> None:
    woken = Wish(False, "root", at(30, 21))
    assert wanted(WORK, woken, None, at(30, 23)) == woken
    found = wanted(WORK, woken, None, at(30, 23) + 86400 * 1)
    assert found == Wish(True, SCHEDULE, at(30, 19) + 86400)


def test_schedule_of_all_times_wants_it_awake_and_leaves_what_was_said() -> None:
    always = SleepConfig(schedule=attrs.evolve(schedule("00:00-24:00"), zone=UTC))
    found = wanted(always, None, None, at(30, 12))
    assert found is not None
    assert not found.asleep
    said = Wish(True, "root", at(30, 1))
    assert wanted(always, said, None, at(30, 12)) == said


@pytest.mark.parametrize(("idle_s", "by"), [(599.0, None), (600.0, IDLE), (None, None)])
def test_engine_is_wanted_asleep_after_its_time_without_a_request(
    idle_s: float | None, by: str | None
) -> None:
    found = wanted(SleepConfig(after_idle_s=600.0), None, idle_s, at(30, 12))
    assert (found.by if found else None) == by


def test_idle_wish_does_not_stand_in_place_of_an_earlier_wish_to_sleep() -> None:
    said = Wish(True, "root", at(30, 1))
    assert wanted(SleepConfig(after_idle_s=1.0), said, 9.0, at(30, 12)) == said


def test_engine_is_changed_only_if_it_is_not_as_it_is_wanted() -> None:
    sleep, wake = Wish(True, "root", 100.0), Wish(False, "root", 100.0)
    assert is_to_change(sleep, asleep_since=None, ours=False)
    assert not is_to_change(wake, asleep_since=None, ours=False)
    assert not is_to_change(sleep, asleep_since=50.0, ours=True)
    assert is_to_change(wake, asleep_since=150.0, ours=True)
    assert not is_to_change(None, asleep_since=50.0, ours=True)


def test_engine_that_somebody_else_put_to_sleep_is_woken_by_a_newer_wish_alone() -> None:
    wake = Wish(False, "root", 100.0)
    assert not is_to_change(wake, asleep_since=150.0, ours=False)
    assert is_to_change(wake, asleep_since=50.0, ours=False)


def test_wish_is_read_as_it_was_written() -> None:
    for wish in (Wish(True, "root", 1.5, 2, once=True), Wish(False, IDLE, 2.0)):
        assert rules.from_json(wish.to_json()) == wish
