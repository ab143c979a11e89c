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

STARTS = [{SPAWN: 10.0, "weights": 60.0, "listening": 2.0}, {SPAWN: 20.0, "weights": 80.0}]


def test_left_s_is_the_median_of_what_is_to_come() -> None:
    assert left_s(STARTS, None, 5) == 10 + 70 + 1
    assert left_s(STARTS, "weights", 30) == 40 + 1
    assert left_s(STARTS, "weights", 300) == 1


def test_left_s_nothing_is_said_of_what_was_never_seen() -> None:
    assert left_s([], "weights", 0) is None
    assert left_s(STARTS, "graphs", 0) is None


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
