import pytest

from vllmd.traces.coverage import MAX_POINTS, SETTLE_S, WINDOW_S, Coverage


def test_ratio_is_exact_once_nothing_finished_for_a_moment() -> None:
    coverage = Coverage()
    coverage.note(0, 0, 0)
    coverage.note(5, 10, 7)
    assert coverage.ratio(7) is None, "it may still come"
    coverage.note(5 + SETTLE_S, 10, 9)
    assert coverage.ratio(9) == pytest.approx(0.9)
    assert coverage.ratio(10) == 1.0


def test_ratio_of_nothing_is_nothing() -> None:
    coverage = Coverage()
    assert coverage.ratio(0) is None
    for at in range(0, 100, 5):
        coverage.note(at, 3, 3)
    assert coverage.ratio(3) is None


def test_ratio_under_steady_load_with_late_spans_says_no_less_than_the_truth() -> None:
    coverage = Coverage()
    for at in range(0, 1000, 5):
        coverage.note(at, at * 10, max(0, at - 3) * 10)
    assert coverage.ratio((995 - 3) * 10) == 1.0


def test_ratio_shows_a_tenth_that_is_lost() -> None:
    coverage = Coverage()
    for at in range(0, 1000, 5):
        coverage.note(at, at * 10, at * 9)
    assert coverage.ratio(995 * 9) == pytest.approx(0.93, abs=0.01)


def test_ratio_looks_at_a_window_only() -> None:
    coverage = Coverage()
    coverage.note(0, 100, 0)
    for at in range(5, int(WINDOW_S) * 3, 5):
        coverage.note(at, 100 + at, at)
    assert coverage.ratio(at) == 1.0


def test_a_restart_of_the_engine_begins_anew() -> None:
    coverage = Coverage()
    coverage.note(0, 0, 0)
    coverage.note(5, 500, 0)
    coverage.note(20, 0, 500)
    coverage.note(25, 4, 500)
    coverage.note(40, 4, 504)
    assert coverage.ratio(504) == 1.0


def test_what_finished_before_the_first_page_counts_where_the_start_was_seen() -> None:
    coverage = Coverage()
    coverage.begin(100, 7)
    coverage.note(105, 4, 9)
    coverage.begin(110, 9)  # of another API server
    coverage.note(105 + SETTLE_S, 4, 10)
    assert coverage.ratio(10) == pytest.approx(3 / 4)


def test_points_are_bounded() -> None:
    coverage = Coverage()
    for at in range(10_000):
        coverage.note(at / 100, at, at)
    assert len(coverage._points) <= MAX_POINTS
