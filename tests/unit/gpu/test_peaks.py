from hypothesis import given
from hypothesis import strategies as st

from vllmd.gpu.peaks import Peak


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 9)), min_size=1), st.floats(0.5, 20))
def test_highest_is_that_of_the_window(steps: list[tuple[float, int]], window_s: float) -> None:
    peak, now, seen = Peak(window_s), 0.0, []
    for step, value in steps:
        now += step
        seen.append((now, value))
        peak.add(now, value)
        assert peak.highest(now) == max(v for at, v in seen if at >= now - window_s)


def test_two_scrapers_see_the_same_peak() -> None:
    """What one Prometheus reads must not be taken from another."""
    peak = Peak(60)
    for second, value in enumerate([1, 9, 2, 2]):
        peak.add(second, value)
    assert [peak.highest(30), peak.highest(45), peak.highest(60)] == [9, 9, 9]


def test_window_that_is_over_has_no_highest() -> None:
    peak = Peak(10)
    peak.add(0, 5)
    assert peak.highest(11) is None
