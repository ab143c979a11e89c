from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllmd.advise.observed import total
from vllmd.advise.observer import GpuRoom, ObservedRun, Observer, Slot
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page

DAY, SLOT = "2026-01-31", Slot("2026-01-31", "chat", "c1")


def page(at: float, *, finished: int, running: int = 1, waiting: int = 0, kv: float = 0.5) -> Page:
    text = f"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0"}} {running}
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0"}} {waiting}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0"}} {kv}
# TYPE vllm:request_success_total counter
vllm:request_success_total{{engine="0",finished_reason="stop"}} {finished}
# TYPE vllm:request_prompt_tokens histogram
vllm:request_prompt_tokens_bucket{{engine="0",le="100.0"}} {finished}
vllm:request_prompt_tokens_bucket{{engine="0",le="+Inf"}} {finished}
"""
    return Page(parse_page(text.encode(), "chat").families, 0, len(text), at, 0.1)


def run(number: int = 1, began_s: float = 100.0, command: str = "c1") -> ObservedRun:
    return ObservedRun("chat", f"run-{number}", command, began_s)


def test_time_is_that_between_two_pages_and_what_it_was_spent_on() -> None:
    observer = Observer(0.0)
    observer.page(run(), page(10, finished=0, running=0), DAY, GpuRoom())
    observer.page(run(), page(15, finished=0, running=0), DAY, GpuRoom())
    observer.page(
        run(), page(20, finished=1, waiting=3, kv=0.95), DAY, GpuRoom(free=7.0, margin=-1.0)
    )
    observer.page(run(), page(500, finished=9), DAY, GpuRoom(free=9.0))
    seen = observer.take(DAY)[SLOT]
    assert (seen.watched_s, seen.idle_s, seen.queued_s, seen.queued_full_s) == (10, 5, 5, 5)
    assert (seen.highest["waiting"], seen.highest["margin"], seen.lowest["free"]) == (3, -1, 7)
    assert seen.finished == 9
    assert seen.most("prompt") == 100


def test_what_a_run_did_before_anybody_looked_is_of_no_day() -> None:
    observer = Observer(began_s=200.0)
    observer.page(run(began_s=100.0), page(10, finished=500), DAY, GpuRoom())
    observer.page(run(began_s=100.0), page(80, finished=507), DAY, GpuRoom())
    assert observer.take(DAY)[SLOT].finished == 7


def test_a_new_run_counts_from_nothing_and_another_command_is_kept_apart() -> None:
    observer = Observer(0.0)
    observer.page(run(1), page(10, finished=5), DAY, GpuRoom())
    observer.page(run(1), page(20, finished=8), DAY, GpuRoom())
    observer.page(run(2, command="c2"), page(30, finished=2), DAY, GpuRoom())
    taken = observer.take(DAY)
    assert taken[SLOT].finished == 8, "the last page of a run counts, too"
    assert taken[Slot(DAY, "chat", "c2")].finished == 2


@pytest.mark.long
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 50)), max_size=30))
def test_every_request_is_counted_once_whatever_becomes_of_the_daemon(
    steps: list[tuple[bool, bool, int]],
) -> None:
    """Daemons die and go on with what was written, engines begin anew, at any time."""
    observer, kept = Observer(0.0), []
    number, finished, expected, at = 1, 0, 0, 0.0
    for daemon_dies, engine_restarts, more in steps:
        at += 61
        if engine_restarts:
            number, finished = number + 1, 0
        finished += more
        expected += more
        observer.page(run(number, began_s=at), page(at, finished=finished), DAY, GpuRoom())
        kept.append(observer.take(DAY).get(SLOT))
        if daemon_dies:
            marks: dict[str, Any] = observer.marks()
            observer = Observer(at)
            observer.resume(marks, at)
    assert total(each for each in kept if each).finished == expected


def test_an_engine_that_says_nothing_of_requests_is_not_watched() -> None:
    observer = Observer(0.0)
    silent = Page((), 0, 0, 10.0, 0.1)
    observer.page(run(), silent, DAY, GpuRoom())
    assert observer.take(DAY) == {}
    observer.forget("chat")
    assert observer.marks() == {}


def test_what_was_counted_while_a_probe_was_in_flight_is_left_out() -> None:
    observer = Observer(0.0)
    observer.page(run(), page(10, finished=3), DAY, GpuRoom())
    observer.page(run(), page(15, finished=4), DAY, GpuRoom())
    observer.page(run(), page(20, finished=9, waiting=7), DAY, GpuRoom(), probed=True)
    observer.page(run(), page(25, finished=10), DAY, GpuRoom())
    seen = observer.take(DAY)[SLOT]
    assert seen.finished == 5
    assert seen.watched_s == 10
    assert seen.highest["waiting"] == 0


def test_probe_at_a_start_is_left_out_too() -> None:
    observer = Observer(0.0)
    observer.page(run(), page(10, finished=15), DAY, GpuRoom(), probed=True)
    observer.page(run(), page(75, finished=17), DAY, GpuRoom())
    assert observer.take(DAY)[SLOT].finished == 2
