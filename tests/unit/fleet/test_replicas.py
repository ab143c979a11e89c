from typing import Any

import pytest

from vllmd.config.fleet import FleetHost
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.fleet.replicas import all_engines, all_replicas, replicas_of

A, B = FleetHost("a"), FleetHost("b")


def test_an_engines_name_goes_before_a_models() -> None:
    page = {"at": 9.0, "engines": [{"name": "x", "served_names": ["y"]}, {"name": "y"}]}
    assert [each.label for each in replicas_of("y", {A: page})] == ["y on a"]
    assert [each.label for each in replicas_of("x", {A: page, B: page})] == ["x on a", "x on b"]


def test_pages_of_another_kind_end_nothing() -> None:
    pages: dict[FleetHost, Any] = {
        A: {"at": "?", "engines": [7, {"name": None}, {"name": "x", "started_at": "?"}]},
        B: VllmdError("away"),
        FleetHost("c"): {},
    }
    (found,) = all_replicas(pages)
    assert (found.state, found.up, found.wanted, found.run_began, found.run_age_s) == (
        *("not known", False, True, None, None),
    )
    assert found.failure is None
    with pytest.raises(UnknownEngineError, match="there is: x"):
        replicas_of("z", pages)


def test_a_run_is_as_old_as_its_own_host_says() -> None:
    page = {"at": 100.0, "engines": [{"name": "x", "started_at": 40.0}]}
    (found,) = all_replicas({A: page})
    assert found.run_age_s == 60
    assert found.run_began == 40


def test_two_hosts_of_one_group_are_one_replica() -> None:
    head = {"name": "big", "group": {"role": "head", "rank": 0}}
    member = {"name": "big", "group": {"role": "member", "rank": 1}}
    pages = {B: {"engines": [member]}, A: {"engines": [head]}}
    assert [each.label for each in all_replicas(pages)] == ["big on a"]
    assert [each.label for each in replicas_of("big", pages)] == ["big on a"]
    assert [each.label for each in all_engines(pages)] == ["big on b", "big on a"]


@pytest.mark.parametrize(
    ("probe", "awaited"),
    [
        (None, False),
        ({"verdict": "unknown", "asked_at": None}, True),
        ({"verdict": "unknown", "asked_at": 39.0}, True),
        ({"verdict": "unknown", "asked_at": 41.0}, False),
        ({"verdict": "unknown", "asked_at": 39.0, "asked_in_run": True}, False),
        ({"verdict": "unknown", "asked_at": 41.0, "asked_in_run": False}, True),
        ({"verdict": "right", "asked_at": 41.0}, False),
        ({"verdict": "not_applicable", "asked_at": None}, False),
    ],
)
def test_answers_are_awaited_until_this_run_was_looked_at(probe: Any, awaited: bool) -> None:
    page = {"at": 100.0, "engines": [{"name": "x", "started_at": 40.0, "probe": probe}]}
    (found,) = all_replicas({A: page})
    assert found.answers_awaited is awaited


def test_one_whose_answers_are_wrong_is_no_ready_replica() -> None:
    engines = [{"name": name, "up": True, "wrong_answers": wrong} for name, wrong in WRONG.items()]
    assert [each.up for each in all_replicas({A: {"engines": engines}})] == [True, False, False]


WRONG: dict[str, Any] = {"well": None, "red": "2.64 nats from the reference", "of a later one": {}}
