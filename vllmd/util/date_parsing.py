"""Points in time as a person writes them. Pure.

Source: systemd.time(7), whose words journalctl takes.
"""

import re
from datetime import datetime, time, timedelta

from vllmd.util.units import DAY_S, HOUR_S, MINUTE_S

_UNITS = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), float(MINUTE_S)),
    **dict.fromkeys(("h", "hr", "hour", "hours"), float(HOUR_S)),
    **dict.fromkeys(("d", "day", "days"), float(DAY_S)),
    **dict.fromkeys(("w", "week", "weeks"), 7.0 * DAY_S),
    **dict.fromkeys(("month", "months"), 30.44 * DAY_S),
    **dict.fromkeys(("y", "year", "years"), 365.25 * DAY_S),
}
_PART = r"(\d+(?:\.\d+)?)\s*([a-z]+)"
_AGO = re.compile(rf"(?:{_PART}\s*)+(?:ago)?")
_DAYS = {"today": 0, "yesterday": 1}
_CLOCK = re.compile(r"(?:(today|yesterday)\s+)?(\d{1,2}):(\d{2})(?::(\d{2}))?")


def parse_moment(text: str, now: datetime) -> float:
    """Read how long ago (``90s``, ``5min``, ``2 days ago``), a day, a time of day, or a date.

    Returns: seconds since the epoch; a time without a zone is of `now`'s.
    Raises: ValueError: it is something else.
    """
    words = " ".join(text.lower().split())
    if words == "now":
        return now.timestamp()
    if words in _DAYS:
        return _midnight(now, _DAYS[words]).timestamp()
    if found := _CLOCK.fullmatch(words):
        day = _midnight(now, _DAYS.get(found[1] or "today", 0))
        at = time(int(found[2]), int(found[3]), int(found[4] or 0))
        return datetime.combine(day.date(), at, now.tzinfo).timestamp()
    if _AGO.fullmatch(words):
        return now.timestamp() - _seconds(words)
    return datetime.fromisoformat(text.strip()).timestamp()


def _midnight(now: datetime, days_before: int) -> datetime:
    day = (now - timedelta(days=days_before)).date()
    return datetime.combine(day, time(), now.tzinfo)


def _seconds(words: str) -> float:
    total = 0.0
    for count, unit in re.findall(_PART, words):
        if unit not in _UNITS and unit.removesuffix("ago") not in _UNITS:
            raise ValueError(f"{unit!r} is no unit of time")
        total += float(count) * _UNITS[unit if unit in _UNITS else unit.removesuffix("ago")]
    return total
