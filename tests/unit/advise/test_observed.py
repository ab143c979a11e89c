import pytest

from tests.helpers.advise import all_at, observed
from vllmd.advise.observed import Observed, from_json, total


def test_what_is_written_is_read_back() -> None:
    seen = observed(counts={"rejected/max_num_queued_reqs": 0.0})
    assert from_json(seen.to_json()) == seen


@pytest.mark.parametrize("row", [{}, {"watched_s": "much"}, Observed().to_json() | {"counts": 3}])
def test_what_is_no_sum_is_refused(row: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        from_json(row)


def test_a_sum_has_all_counts_the_highest_and_the_lowest() -> None:
    later = observed(
        counts={"finished/abort": 2.0},
        highest={"running": 3.0, "kv_cache": 0.9},
        lowest={"free": 5.0},
        histograms={"queue_s": all_at(0.3, 10)},
    )
    seen = total([observed(), later])
    assert seen.watched_s == 2 * observed().watched_s
    assert (seen.finished, seen.count("preemptions")) == (10_002, 0)
    assert (seen.highest["running"], seen.highest["kv_cache"], seen.lowest["free"]) == (12, 0.9, 5)
    assert seen.histograms["queue_s"].count == 1010
    assert (seen.quantile("queue_s", 1.0), seen.most("prompt"), seen.most("x")) == (0.3, 1000, None)


def test_nothing_added_to_something_is_that() -> None:
    assert total([]) == Observed()
    assert observed() + Observed() == Observed() + observed() == observed()
