"""Pieces of PromQL: what is said once is asked for by promtool in dashboards/tests."""

from vllmd.monitoring.expressions import keeps_rising, last, rise, still


def test_last_is_longer_than_a_failed_scrape() -> None:
    assert last('vllmd_x{a="b"}') == 'last_over_time(vllmd_x{a="b"}[3m])'


def test_rise_compares_a_window_with_the_one_before() -> None:
    assert rise("x", 30) == "(min_over_time(x[30m]) - min_over_time(x[30m] offset 30m))"
    newer, older = "min_over_time(x[30m] offset 30m)", "min_over_time(x[30m] offset 60m)"
    assert rise("x", 30, 30) == f"({newer} - {older})"


def test_keeps_rising_asks_for_each_window() -> None:
    lines = keeps_rising("x", 7, 10, 3).splitlines()
    assert lines == [
        f"{rise('x', 10)} > 7",
        f"  and {rise('x', 10, 10)} > 7",
        f"  and {rise('x', 10, 20)} > 7",
        "  and last_over_time(x[3m])",
    ]


def test_still_asks_whether_a_series_is_there() -> None:
    there = "and on (instance, uuid) last_over_time(x[3m])"
    assert still("x", "instance, uuid") == there
