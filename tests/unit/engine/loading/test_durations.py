from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllmd.engine.loading.durations import (
    KEPT_COMMANDS,
    KEPT_STARTS,
    SPAWN,
    left_s,
    remembered,
    usual_s,
)
from vllmd.engine.loading.phases import ORDER

STARTS = [{SPAWN: 10.0, "weights": 60.0, "listening": 2.0}, {SPAWN: 20.0, "weights": 80.0}]


def test_left_s_is_the_median_of_what_is_to_come() -> None:
    assert left_s(STARTS, None, 5) == 10 + 70 + 1
    assert left_s(STARTS, "weights", 30) == 40 + 1
    assert left_s(STARTS, "weights", 300) == 1


def test_left_s_nothing_is_said_of_what_was_never_seen() -> None:
    assert left_s([], "weights", 0) is None


def test_left_s_in_a_phase_that_was_never_seen_is_what_follows() -> None:
    assert left_s(STARTS, "download", 5) == 70 + 1
    assert left_s(STARTS, "graphs", 5) == 1


@pytest.mark.long
@given(
    st.lists(
        st.dictionaries(st.sampled_from([SPAWN, *ORDER]), st.floats(0, 1e4), min_size=1),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.tuples(st.sampled_from([SPAWN, *ORDER]), st.lists(st.floats(0, 100)))),
)
def test_left_s_never_becomes_more_in_a_start(
    starts: list[dict[str, float]], under_way: list[tuple[str, list[float]]]
) -> None:
    told: list[float] = []
    order = sorted(under_way, key=lambda each: ORDER.get(each[0], -1))
    for phase, passed in dict(order).items():
        in_phase_s = 0.0
        for seconds in (0.0, *passed):
            in_phase_s += seconds
            left = left_s(starts, phase, in_phase_s)
            assert left is not None
            told.append(left)
    assert all(later <= before * (1 + 1e-9) + 1e-9 for before, later in pairwise(told))


def test_remembered_is_bounded() -> None:
    starts: dict[str, list[dict[str, float]]] = {}
    for n in range(20):
        starts = remembered(starts, f"command-{n % 6}", {SPAWN: float(n)})  # type: ignore[assignment]
    assert len(starts) == KEPT_COMMANDS
    for n in range(20):
        starts = remembered(starts, "one", {SPAWN: float(n)})  # type: ignore[assignment]
    assert [start[SPAWN] for start in starts["one"]] == [15, 16, 17, 18, 19]
    assert len(starts["one"]) == KEPT_STARTS


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1e4)), max_size=5),
    st.floats(0, 1e5),
)
def test_left_s_is_never_negative(starts: list[dict[str, float]], seconds: float) -> None:
    left = left_s(starts, "b", seconds)
    assert left is None or left >= 0


def test_usual_s_is_the_median_of_whole_starts() -> None:
    assert usual_s([]) is None
    earlier = [{"spawn": 1.0, "weights": 9.0}, {"spawn": 100.0}, {"spawn": 2.0, "graphs": 10.0}]
    assert usual_s(earlier) == 12.0
