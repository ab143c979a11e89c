from datetime import UTC, datetime

import pytest

from vllmd.util.date_parsing import parse_moment

NOW = datetime(2026, 3, 15, 3, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "is_at"),
    [
        ("now", NOW),
        ("today", datetime(2026, 3, 15, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 3, 14, tzinfo=UTC)),
        ("yesterday 22:05", datetime(2026, 3, 14, 22, 5, tzinfo=UTC)),
        ("02:10:07", datetime(2026, 3, 15, 2, 10, 7, tzinfo=UTC)),
        ("2026-03-01T00:00+00:00", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_moment_is_a_day_a_time_of_day_or_a_date(text: str, is_at: datetime) -> None:
    assert parse_moment(text, NOW) == is_at.timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5min", 300),
        ("1h30m", 5400),
        ("2 days ago", 2 * 86400),
        ("1 hour 5 minutes ago", 3900),
        ("500ms", 0.5),
        ("1y", 365.25 * 86400),
        ("2 weeks", 14 * 86400),
        ("3 months ago", 91.32 * 86400),
        ("5minago", 300),
    ],
)
def test_moment_is_so_long_ago(text: str, seconds: float) -> None:
    assert parse_moment(text, NOW) == pytest.approx(NOW.timestamp() - seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "soon", "5 parsecs ago", "25:00", "2026-13-01", "ago", "-5m"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for nobody
        parse_moment(text, NOW)
