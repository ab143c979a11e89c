import attrs
import pytest

from tests.helpers.status_past import times
from tests.helpers.status_scenes import page_load
from vllmd.status.load import Load
from vllmd.status.window import PAGES, LoadNow, LoadWindow


def at_work(done: float, **more: float) -> Load:
    """Return the load of an engine that has made 100 tokens for each of so many seconds."""
    page = page_load(generated_tokens=100 * done, prompt_tokens=10 * done, **more)
    assert page.ttft is not None
    assert page.itl is not None
    return attrs.evolve(page, ttft=times(page.ttft, done), itl=times(page.itl, done))


def test_now_is_the_rate_and_the_percentile_of_the_last_minute() -> None:
    window = LoadWindow()
    for at in range(0, 121, 5):
        window.add(float(at), at_work(at, kv_cache_usage=0.4))
    now = window.now(120.0)
    page = page_load()
    assert page.ttft is not None
    assert now.tokens_per_s == pytest.approx(100.0)
    assert now.prompt_tokens_per_s == pytest.approx(10.0)
    assert now.ttft_p95_s == pytest.approx(page.ttft.quantile(0.95))
    assert now.itl_p95_s is not None
    assert now.kv_cache_usage == 0.4


def test_now_without_requests_in_the_last_minute_has_no_latency() -> None:
    window = LoadWindow()
    for at in range(0, 121, 5):
        window.add(float(at), at_work(min(at, 30)))
    now = window.now(120.0)
    assert (now.ttft_p95_s, now.itl_p95_s, now.tokens_per_s) == (None, None, 0.0)


def test_now_of_a_page_that_is_old_is_nothing() -> None:
    window = LoadWindow()
    assert window.now(0.0) == LoadNow()
    window.add(0.0, at_work(1))
    assert window.now(1.0).tokens_per_s is None, "one page is no rate"
    window.add(5.0, at_work(2))
    assert window.now(19.0).tokens_per_s == pytest.approx(20.0)
    assert window.now(21.0) == LoadNow()
    assert window.now(21.0, fresh_s=30.0).tokens_per_s == pytest.approx(20.0)


def test_after_a_gap_the_window_begins_anew() -> None:
    window = LoadWindow()
    window.add(0.0, at_work(0))
    window.add(5.0, at_work(5))
    window.add(3605.0, at_work(365))
    now = window.now(3605.0)
    assert (now.tokens_per_s, now.ttft_p95_s) == (None, None), "not of the hour"
    assert window.to_json(3605.0, 0.0)["tokens_per_s"] == [None]
    window.add(3610.0, at_work(370))
    assert window.now(3610.0).tokens_per_s == pytest.approx(100.0)


def test_pages_that_are_read_rarely_are_no_gap() -> None:
    window = LoadWindow()
    window.add(0.0, at_work(0), 90.0)
    window.add(60.0, at_work(60), 90.0)
    assert window.now(60.0).tokens_per_s == pytest.approx(100.0)


def test_figures_have_as_many_digits_as_the_points() -> None:
    window = LoadWindow()
    window.add(0.0, at_work(0))
    window.add(7.0, at_work(1))
    now, points = window.now(7.0), window.to_json(7.0, 0.0)
    assert now.tokens_per_s == points["tokens_per_s"][-1] == 14.286
    assert now.ttft_p95_s == points["ttft_p95_s"][-1]


def test_counters_that_fall_are_of_another_process() -> None:
    window = LoadWindow()
    window.add(0.0, at_work(50))
    window.add(5.0, at_work(55))
    window.add(10.0, at_work(1))
    assert window.now(10.0).tokens_per_s is None
    window.add(15.0, at_work(6))
    now = window.now(15.0)
    assert now.tokens_per_s == pytest.approx(100.0)
    assert now.ttft_p95_s is not None


def test_buckets_that_fall_alone_are_of_another_process_too() -> None:
    window = LoadWindow()
    window.add(0.0, attrs.evolve(at_work(50), generated_tokens=None, prompt_tokens=None))
    window.add(5.0, attrs.evolve(at_work(1), generated_tokens=None, prompt_tokens=None))
    assert window.now(5.0).ttft_p95_s is None


def test_window_is_bounded() -> None:
    window = LoadWindow()
    sizes = set()
    for at in range(0, 1500, 5):
        window.add(float(at), at_work(at))
        if at > 5 * PAGES:
            sizes.add(window.size_bytes)
    assert len(sizes) == 1
    assert sizes.pop() < 10_000
    assert len(window.to_json(1495.0, 0.0)["at"]) == 120
