import pytest

from vllmd.control.parameters import (
    MAX_EVENTS,
    between,
    chosen,
    flag,
    listed,
    moment,
    shown,
    wanted_events,
)
from vllmd.history.reading import EventFilter


def test_wanted_events_reads_every_parameter() -> None:
    given = {
        "since": "1.5",
        "until": "2.5",
        "engine": "chat",
        "level": "warning",
        "names": "engine.*,gpu.lost",
        "after_id": "7",
        "limit": "10000",
    }
    names = ("engine.*", "gpu.lost")
    assert wanted_events(given) == EventFilter(1.5, 2.5, "chat", "warning", names, 7, MAX_EVENTS)
    assert wanted_events({}) == EventFilter()


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("limit", "-1", "limit is -1: from 1 to 10000"),
        ("limit", "0", "limit is 0: from 1 to 10000"),
        ("limit", "10001", "limit is 10001: from 1 to 10000"),
        ("limit", "ten", "limit is 'ten': a whole number from 1 to 10000"),
        ("limit", "1" * 5000, "a whole number from 1 to 10000"),
        ("limit", "\u0661", "a whole number"),
        ("after_id", "1e22", "after_id is '1e22': a whole number"),
        ("after_id", "9223372036854775808", "after_id is 9223372036854775808: from 0"),
        ("since", "nan", "since is 'nan': seconds since 1970"),
        ("until", "1e400", "until is '1e400': seconds since 1970"),
        ("since", "1_000", "since is '1_000': seconds since 1970"),
        ("since", " 5", "since is ' 5': seconds since 1970"),
        ("since", "\u0661", "seconds since 1970"),
        ("names", "\u00e9", "names has '\u00e9'"),
        ("until", "-5", "until is '-5': seconds since 1970"),
        ("level", "loud", "level is 'loud'; known: debug, info"),
        ("engine", "e" * 65, "engine has 65 characters: up to 64"),
        ("names", ",".join(["a"] * 33), "names has 33 names: up to 32"),
        ("names", "n" * 65, "a name in names has 65 characters: up to 64"),
        ("names", "a*b*c*d", r"names has 'a\*b\*c\*d'"),
        ("names", "'; DROP", 'names has "\'; DROP"'),
    ],
)
def test_wanted_events_says_what_is_wrong(key: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as raised:
        wanted_events({key: text})
    assert len(str(raised.value)) < 200


def test_moment_and_listed_read_what_is_there() -> None:
    assert moment({"since": "5"}, "since") == 5.0
    assert moment({}, "since") is None
    assert listed({"compare": "a,,b"}, "compare") == ["a", "b"]


def test_flag_is_on_or_off_and_nothing_else() -> None:
    """`?apply=false` restarted engines: it was on as soon as it was there."""
    assert [flag({"apply": text}, "apply") for text in ("", "1", "true")] == [True] * 3
    assert [flag(given, "apply") for given in ({}, {"apply": "0"}, {"apply": "false"})] == [
        False
    ] * 3
    with pytest.raises(ValueError, match="apply is 'no': 'true', or 'false'"):
        flag({"apply": "no"}, "apply")


def test_chosen_is_one_of_a_few_words() -> None:
    assert chosen({"level": "2"}, "level", ("1", "2")) == "2"
    assert chosen({}, "level", ("1", "2")) is None
    with pytest.raises(ValueError, match="level is '3': 1 or 2"):
        chosen({"level": "3"}, "level", ("1", "2"))


def test_between_is_a_number_that_has_to_be_there() -> None:
    assert between({"seconds": "1e3"}, "seconds", 0, 3600) == 1000
    for text in ("-1", "3601", "soon", "nan", "1_0"):
        with pytest.raises(ValueError, match="from 0 to 3600"):
            between({"seconds": text}, "seconds", 0, 3600)
    with pytest.raises(ValueError, match="seconds is '': from 0"):
        between({}, "seconds", 0, 3600)


def test_shown_is_short_and_one_line() -> None:
    assert shown("a" * 500) == repr("a" * 40 + "…")
    assert shown("\x1b[2J\n") == r"'\x1b[2J\n'"
    assert shown("\u202etxt") == r"'\u202etxt'"
