"""Times of a week: `Mon-Fri 07:00-19:00, Sat 09:00-12:00`. Pure, but for the host's time zone.

A time is one that a clock on the wall shows. So 07:00 is 07:00 on both sides of a change of
daylight saving time; one that is skipped then is taken as an hour later, of one that comes twice
the first counts.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import attrs

from vllmd.config.rules import RuleError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXPECTS = 'times such as "Mon-Fri 07:00-19:00" or "Mon,Wed 22:00-06:00, Sat 09:00-12:00"'
DAY_MINUTES = 24 * 60
AROUND_DAYS = 8
"""A week and a day: a change of the schedule is never further away."""

_TIMES = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_PART = re.compile(r"(?:([a-z][a-z,\s-]*?)\s+)?(\d{1,2}:\d{2}\s*-\s*\d{1,2}:\d{2})\s*(?:,|;|$)\s*")


@attrs.frozen(order=True)
class Times:
    """One stretch of a weekday (0 is Monday), in minutes since midnight; `end` may be after it."""

    day: int
    begin: int
    end: int


@attrs.frozen
class Schedule:
    """When something is to be awake. All times are seconds since the epoch.

    `zone` is the host's, if None.
    """

    text: str
    times: tuple[Times, ...]
    zone: tzinfo | None = None

    def is_on(self, at: float) -> bool:
        """Tell whether a time is one of these."""
        return any(begin <= at < end for begin, end in self._around(at))

    def changed_at(self, at: float) -> float | None:
        """Return when it changed last; None if it never does."""
        return max((edge for edge in self._edges(at) if edge <= at), default=None)

    def changes_at(self, at: float) -> float | None:
        """Return when it changes next; None if it never does."""
        return min((edge for edge in self._edges(at) if edge > at), default=None)

    def _edges(self, at: float) -> Iterator[float]:
        span = AROUND_DAYS * 86400
        for stretch in self._around(at):
            # what lies at the rim of what was looked at is no change
            yield from (edge for edge in stretch if abs(edge - at) < span)

    def _around(self, at: float) -> list[tuple[float, float]]:
        """Return the stretches around a time; those that touch are one."""
        today = datetime.fromtimestamp(at, self.zone).date()
        found: list[tuple[float, float]] = []
        days = range(-AROUND_DAYS - 1, AROUND_DAYS + 2)
        for day in (today + timedelta(days=n) for n in days):
            for each in self.times:
                if each.day == day.weekday():
                    found.append((self._at(day, each.begin), self._at(day, each.end)))
        joined: list[tuple[float, float]] = []
        for begin, end in sorted(found):
            if joined and begin <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((begin, end))
        return joined

    def _at(self, day: date, minutes: int) -> float:
        days, rest = divmod(minutes, DAY_MINUTES)
        wall = time(rest // 60, rest % 60)
        return datetime.combine(day + timedelta(days=days), wall, self.zone).timestamp()


def schedule(value: Any) -> Schedule:
    """Accept times of a week.

    Raises: RuleError: with what is wrong.
    """
    if not isinstance(value, str) or not value.strip():
        raise RuleError(EXPECTS)
    rest, found = value.strip().lower(), list[Times]()
    while rest:
        part = _PART.match(rest)
        if part is None:
            raise RuleError(f"{EXPECTS}; {rest!r} is none")
        days = _days(part[1]) if part[1] else range(7)
        begin, end = _minutes(part[2])
        found += (Times(day, begin, end) for day in days)
        rest = rest[part.end() :]
    return Schedule(value.strip(), tuple(sorted(set(found))))


def _days(text: str) -> list[int]:
    days: list[int] = []
    for part in re.split(r"[,\s]+", text.strip(" ,")):
        first, dash, last = part.partition("-")
        begin, end = _day(first), _day(last or first)
        if dash and not last:
            raise RuleError(f"{EXPECTS}; {part!r} has no last day")
        days += ((begin + n) % 7 for n in range((end - begin) % 7 + 1))
    return days


def _day(name: str) -> int:
    matching = [n for n, day in enumerate(DAYS) if len(name) >= 3 and _FULL[n].startswith(name)]
    if len(matching) != 1:
        raise RuleError(f"{EXPECTS}; {name!r} is no day of the week ({', '.join(DAYS).title()})")
    return matching[0]


_FULL = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _minutes(text: str) -> tuple[int, int]:
    match = _TIMES.fullmatch(text)
    assert match is not None
    hours = [int(match[1]), int(match[3])]
    minutes = [int(match[2]), int(match[4])]
    begin, end = (60 * h + m for h, m in zip(hours, minutes, strict=True))
    if max(minutes) > 59 or begin >= DAY_MINUTES or end > DAY_MINUTES:
        raise RuleError(f"{EXPECTS}; {text!r} has a time that no clock shows")
    if begin == end:
        raise RuleError(f"{EXPECTS}; {text!r} is no time at all, 00:00-24:00 is a whole day")
    return begin, end if end > begin else end + DAY_MINUTES
