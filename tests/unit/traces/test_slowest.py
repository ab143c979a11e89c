import random

from tests.helpers.otlp import span
from vllmd.traces.aggregate import Aggregate, CountedRequest
from vllmd.traces.slowest import RANKS, Slowest, describe


def request(**changed: float) -> CountedRequest:
    counted = Aggregate().add("chat", span(**changed), frozenset())
    assert counted is not None
    return counted


def test_each_rank_keeps_its_own_slowest() -> None:
    slowest = Slowest()
    slowest.keep = 3
    times = [number / 100 for number in range(1, 101)]
    random.Random(1).shuffle(times)
    for value in times:
        slowest.add(request(time_to_first_token=value, queue=1.01 - value), 50.0)
    window = slowest.end(60.0)
    assert window is not None
    found = window.slowest
    assert [r.time_to_first_token for r in found["time_to_first_token"]] == [1.0, 0.99, 0.98]
    assert [round(r.queue or 0, 2) for r in found["queue"]] == [1.0, 0.99, 0.98]
    assert (window.started_at, window.ended_at, window.requests) == (50.0, 60.0, 100)


def test_a_window_begins_with_its_first_request() -> None:
    slowest = Slowest()
    assert slowest.current() is None
    assert slowest.end(1.0) is None
    slowest.add(request(), 5.0)
    current = slowest.current()
    assert current is not None
    assert (current.started_at, current.ended_at) == (5.0, None)
    assert slowest.end(9.0) is slowest.last
    assert not slowest.begun
    assert slowest.current() is None


def test_what_is_not_valid_is_not_ranked() -> None:
    slowest = Slowest()
    slowest.add(request(queue=-5.0, completion_tokens=1), 5.0)
    window = slowest.end(6.0)
    assert window is not None
    assert window.slowest["queue"] == window.slowest["time_per_output_token"] == []
    assert len(window.slowest["e2e"]) == 1


def test_with_nothing_to_keep_nothing_is_kept() -> None:
    slowest = Slowest()
    slowest.keep = 0
    slowest.add(request(), 5.0)
    window = slowest.end(6.0)
    assert window is not None
    assert all(found == [] for found in window.slowest.values())
    assert window.requests == 1


def test_distinct_tells_each_request_once_with_all_its_ranks() -> None:
    slowest = Slowest()
    slowest.add(request(), 5.0)
    window = slowest.end(6.0)
    assert window is not None
    ((found, ranks),) = window.distinct()
    assert ranks == list(RANKS)
    assert describe(found)["span_id"] == found.span.span_id.hex()


def test_to_json_has_ids_tokens_and_phases() -> None:
    slowest = Slowest()
    slowest.add(request(), 5.0)
    window = slowest.current()
    assert window is not None
    (told,) = window.to_json()["slowest"]["e2e"]
    assert told["engine"] == "chat"
    assert told["adapter"] == "unknown"
    assert len(told["trace_id"]) == 32
    assert (told["prompt_tokens"], told["completion_tokens"]) == (40, 10)
    assert (told["queue"], told["prefill"], told["decode"], told["e2e"]) == (0.05, 0.15, 0.9, 1.1)
