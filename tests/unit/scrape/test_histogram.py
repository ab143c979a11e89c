from array import array

import pytest

from vllmd.scrape.families import parse_page
from vllmd.scrape.histogram import CumulativeHistogram, read_histogram

INF = float("inf")


def histogram(*counts: float, bounds: tuple[float, ...] = (0.1, 1.0, INF)) -> CumulativeHistogram:
    return CumulativeHistogram(bounds, array("d", counts))


def test_quantile_is_linear_within_a_bucket_as_in_prometheus() -> None:
    assert histogram(0, 100, 100).quantile(0.95) == pytest.approx(0.1 + 0.9 * 0.95)
    assert histogram(100, 100, 100).quantile(0.5) == pytest.approx(0.05)


def test_quantile_above_the_last_bound_is_that_bound() -> None:
    assert histogram(0, 1, 100).quantile(0.95) == 1.0


def test_quantile_of_nothing_is_not_known() -> None:
    assert histogram(0, 0, 0).quantile(0.95) is None
    assert CumulativeHistogram((), array("d")).quantile(0.95) is None
    assert CumulativeHistogram((INF,), array("d", (3,))).quantile(0.95) is None


def test_since_is_what_was_added_and_nothing_for_another_process() -> None:
    assert histogram(3, 5, 9).since(histogram(1, 2, 3)) == histogram(2, 3, 6)
    assert histogram(1, 2, 3).since(histogram(3, 5, 9)) is None
    assert histogram(3, 5, 9).since(histogram(1, 2, 3, bounds=(0.2, 1.0, INF))) is None


def test_plus_adds_and_begins_anew_with_other_bounds() -> None:
    assert histogram(1, 2, 3).plus(histogram(3, 5, 9)) == histogram(4, 7, 12)
    other = histogram(1, 2, 3, bounds=(0.2, 1.0, INF))
    assert histogram(3, 5, 9).plus(other) == other


def test_most_is_a_bound_that_nothing_was_above() -> None:
    assert histogram(0, 3, 3).most() == 1.0
    assert histogram(0, 3, 4).most() == INF
    assert histogram(0, 0, 0).most() is None


def test_a_family_without_buckets_is_no_histogram() -> None:
    assert read_histogram(None) is None
    (family,) = parse_page(b"# TYPE vllm:x gauge\nvllm:x 3\n", "chat").families
    assert read_histogram(family) is None
