from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import attrs
import pytest

from vllmd.config.rules import RuleError
from vllmd.config.schedule import Schedule, schedule

BERLIN = ZoneInfo("Europe/Berlin")


def of(text: str, zone: str = "Europe/Berlin") -> Schedule:
    return attrs.evolve(schedule(text), zone=ZoneInfo(zone))


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def shown(edge: float | None) -> str:
    assert edge is not None
    return datetime.fromtimestamp(edge, BERLIN).strftime("%a %d %H:%M")


@pytest.mark.parametrize(
    ("text", "moment", "on"),
    [
        ("Mon-Fri 07:00-19:00", "2026-11-30T07:00", True),  # a Monday
        ("Mon-Fri 07:00-19:00", "2026-11-30T06:59", False),
        ("Mon-Fri 07:00-19:00", "2026-11-30T19:00", False),
        ("Mon-Fri 07:00-19:00", "2026-11-29T12:00", False),
        ("mon,wed 08:00-09:00, Sat 10:00-12:00", "2026-12-02T08:30", True),
        ("mon,wed 08:00-09:00, Sat 10:00-12:00", "2026-12-01T08:30", False),
        ("mon,wed 08:00-09:00, Sat 10:00-12:00", "2026-12-05T11:00", True),
        ("Fri 22:00-06:00", "2026-12-05T05:59", True),  # of Friday night
        ("Fri 22:00-06:00", "2026-12-04T05:59", False),
        ("Sun-Mon 00:00-24:00", "2026-11-29T23:59", True),
        ("07:00-19:00", "2026-11-29T12:00", True),
        ("Fri-Mon 10:00-11:00", "2026-11-29T10:30", True),
        ("Fri-Mon 10:00-11:00", "2026-12-02T10:30", False),
    ],
)
def test_schedule_is_on_at_its_times(text: str, moment: str, on: bool) -> None:
    assert of(text).is_on(at(moment)) is on


def test_changes_are_the_nearest_before_and_after() -> None:
    week, sunday = of("Mon-Fri 07:00-19:00"), at("2026-11-29T12:00")
    assert shown(week.changed_at(sunday)) == "Fri 27 19:00"
    assert shown(week.changes_at(sunday)) == "Mon 30 07:00"


def test_times_that_touch_are_no_change() -> None:
    days = of("Mon 00:00-24:00, Tue 00:00-12:00")
    assert shown(days.changes_at(at("2026-11-30T12:00"))) == "Tue 01 12:00"


def test_schedule_of_all_times_never_changes() -> None:
    always = of("00:00-24:00")
    assert always.is_on(at("2026-11-30T00:00"))
    assert always.changed_at(at("2026-11-30T12:00")) is None
    assert always.changes_at(at("2026-11-30T12:00")) is None


def test_morning_is_at_the_same_time_of_day_on_both_sides_of_daylight_saving_time() -> None:
    days = of("07:00-19:00")
    before, after = days.changes_at(at("2026-10-24T03:00")), days.changes_at(at("2026-10-25T03:30"))
    assert before is not None
    assert after is not None
    assert (shown(before), shown(after)) == ("Sat 24 07:00", "Sun 25 07:00")
    assert after - before == 25 * 3600, "the night was an hour longer"
    spring = [days.changes_at(at(f"2026-03-{day}T01:00")) for day in (28, 29)]
    assert spring[1] is not None
    assert spring[0] is not None
    assert spring[1] - spring[0] == 23 * 3600


def test_time_that_is_skipped_in_spring_is_an_hour_later() -> None:
    night = of("02:30-04:00")
    assert shown(night.changes_at(at("2026-03-29T01:00"))) == "Sun 29 03:30"


def test_time_that_comes_twice_in_autumn_is_the_first() -> None:
    night = of("02:30-04:00")
    edge = night.changes_at(at("2026-10-25T01:00"))
    assert edge == datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()


def test_zone_is_the_hosts_if_none_is_given() -> None:
    noon = datetime.now().replace(hour=12, minute=0, second=0, microsecond=0).timestamp()
    assert schedule("11:00-13:00").is_on(noon)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "times such as"),
        (7, "times such as"),
        ("Mon-Fri", "'mon-fri' is none"),
        ("Mun 07:00-08:00", "'mun' is no day of the week"),
        ("T 07:00-08:00", "'t' is no day of the week"),
        ("Mon 07:00-25:00", "a time that no clock shows"),
        ("Mon 07:60-08:00", "a time that no clock shows"),
        ("Mon 07:00-07:00", "00:00-24:00 is a whole day"),
        ("Mon- 07:00-08:00", "'mon-' has no last day"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_part_that_is_wrong(
    text: object, words: str
) -> None:
    with pytest.raises(RuleError, match=words):
        schedule(text)
