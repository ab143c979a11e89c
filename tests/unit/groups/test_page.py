import json

import pytest

from vllmd.groups.page import EndOfPart, GroupPage, GroupWish, from_json, role_of

PAGE = GroupPage(
    host="gpu02",
    rank=1,
    generation="abc",
    runs=True,
    wish=GroupWish("restart", "abc"),
    ended=EndOfPart("abc", 2.5, False, "exited with code 0 unexpectedly", "unknown"),
    addresses=("10.0.0.2",),
)


def test_page_goes_over_the_wire_and_back() -> None:
    assert from_json(json.loads(json.dumps(PAGE.to_json()))) == PAGE


def test_page_of_a_later_version_is_read_without_what_it_added() -> None:
    assert from_json({**PAGE.to_json(), "schema": 2, "colour": "red"}) == PAGE


@pytest.mark.parametrize(
    "broken",
    [
        {"rank": 1},
        {"schema": 1, "host": "a", "rank": "one", "generation": None},
        {"schema": 0, "host": "a", "rank": 1, "generation": None},
        {"schema": 1, "host": "a", "rank": 1, "generation": "x", "runs": "yes"},
        {"schema": 1, "host": "a", "rank": 1, "generation": "x", "ended": {"ago_s": "soon"}},
    ],
)
def test_page_that_makes_no_sense_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(broken)


def test_role_the_first_is_the_head() -> None:
    assert (role_of(0), role_of(1), PAGE.role) == ("head", "member", "member")
