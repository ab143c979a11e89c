from vllmd.cli.screen.graph import KEPT_S, bars, bins, series_of

NOW = 1_000_000.0


def test_bins_take_the_highest_value_of_each_part() -> None:
    at = [NOW - 8, NOW - 4, NOW - 0.5]
    assert bins(at, [3.0, 9.0, 4.0], NOW, 60) == [None] * 59 + [9.0]


def test_bins_hold_a_point_until_the_next_and_no_longer() -> None:
    at = [NOW - 300.0, NOW - 295.0]
    found = bins(at, [1.0, 2.0], NOW, 300)
    assert found[150:154] == [1.0, 1.0, 2.0, 2.0]
    assert found[160] is None


def test_bins_of_points_that_come_rarely_have_no_gaps() -> None:
    at = [NOW - KEPT_S + 15.0 * (n + 1) for n in range(40)]
    assert None not in bins(at, [1.0] * 40, NOW, 120)[3:]


def test_bins_leave_a_gap_where_a_figure_was_not_known() -> None:
    at = [NOW - 10.0, NOW - 5.0, NOW]
    assert bins(at, [1.0, None, 1.0], NOW, 120)[-3:] == [1.0, None, 1.0]


def test_bars_fill_their_height_at_the_top_and_show_nothing_as_a_dot() -> None:
    assert bars([0.0, 4.0, 8.0, None], 8.0) == ["▁▄█·"]
    assert bars([4.0, 8.0, None], 8.0, 2) == [" █ ", "██·"]
    assert bars([0.0], 0.0) == ["▁"]


def test_series_of_a_document_without_it_is_not_known() -> None:
    assert series_of({}, "running", NOW, 3) == [None] * 3
    assert series_of({"at": [NOW], "running": [2.0]}, "running", NOW, 3) == [None, None, 2.0]
