import pytest

from vllmd.util.units import format_bytes, format_duration, nanoseconds, parse_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0ms"),
        (0.85, "850ms"),
        (42, "42s"),
        (59.6, "1m"),
        (200, "3m 20s"),
        (3600, "1h"),
        (18120, "5h 2m"),
        (1051200, "12d 4h"),
    ],
)
def test_format_duration_uses_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (69.65 * 1024**3, "69.7 GiB")],
)
def test_format_bytes_uses_binary_units(count: float, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("7d", 604800)])
def test_parse_duration_reads_what_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-5m", "1y", "1h ago"])
def test_parse_duration_refuses_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        parse_duration(text)


def test_nanoseconds_are_whole() -> None:
    assert nanoseconds(1.5) == 1_500_000_000
