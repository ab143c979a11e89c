from collections.abc import Mapping
from typing import Any

import pytest

from tests.helpers.schema import SCHEMA
from vllmd.fleet.page_kinds import KINDS, is_number, of_kind


@pytest.mark.parametrize("value", [0, -1, 1.5, 1_700_000_000.0])
def test_times_and_counts_are_numbers(value: float) -> None:
    assert is_number(value)


@pytest.mark.parametrize(
    "value", [None, True, "1", [], float("nan"), 1e400, -1e400, 1e308, 10**400]
)
def test_nothing_else_is_a_number(value: Any) -> None:
    assert not is_number(value)


def test_what_is_missing_or_of_another_kind_is_left_out_and_so_is_what_nobody_asks_for() -> None:
    shown = {
        "name": "chat",
        "state": 7,
        "up": "true",
        "served_names": ["tiny", 3],
        "requests_running": 1.5,
        "last_exit": {"requested": False, "at": "?", "diagnosis": [], "more": 1},
        "hold": "held",
        "log": "/var/log",
    }
    assert of_kind(shown) == {"name": "chat", "last_exit": {"requested": False}}


@pytest.mark.parametrize("shown", [None, 7, "x", [], [{}]])
def test_what_is_no_object_is_nothing(shown: Any) -> None:
    assert of_kind(shown) is None


def test_every_field_that_is_asked_for_is_told_to_other_hosts() -> None:
    def look(kinds: Any, schema: Any) -> None:
        for name, kind in kinds.items():
            known = schema["properties"][name]
            assert not known.get("local"), name
            if isinstance(kind, Mapping):
                look(kind, known)

    look(KINDS, SCHEMA["properties"]["engines"]["items"])
