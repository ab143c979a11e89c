import asyncio

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import DATA
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.window import LoadNow


def page(at: float) -> Page:
    content = (DATA / "metrics" / "vllm-0.25-h200.prom").read_bytes()
    return Page(parse_page(content, "chat").families, 0, len(content), at, 0.01)


def recorder(clock: FakeClock, **gpus: dict[str, float]) -> SeriesRecorder:
    return SeriesRecorder(clock, lambda: gpus, lambda: asyncio.sleep(0))


def test_page_read_keeps_one_in_some_seconds() -> None:
    clock = FakeClock()
    series = recorder(clock)
    series.configure(["chat"], 5.0)
    for seconds in (0, 1, 2, 5, 6, 10):
        series.page_read("chat", page(clock.now + seconds))
    clock.now += 10
    assert len(series.to_json()["engines"]["chat"]["at"]) == 3
    assert series.load("chat").tokens_per_s == 0.0
    assert series.load("other") == LoadNow()


def test_configure_forgets_engines_and_waits_longer_for_rare_pages() -> None:
    clock = FakeClock()
    series = recorder(clock)
    series.configure(["chat", "old"], 30.0)
    series.page_read("old", page(clock.now))
    for seconds in (0, 30):
        series.page_read("chat", page(clock.now + seconds))
    clock.now += 80
    assert series.load("chat").tokens_per_s == 0.0
    series.configure(["chat"], 5.0)
    series.page_read("old", page(clock.now))
    assert list(series.to_json()["engines"]) == ["chat"]
    assert series.load("chat").tokens_per_s is None


def test_page_is_fresh_until_three_of_its_periods_are_over() -> None:
    clock = FakeClock()
    series = recorder(clock)
    series.configure(["chat"], 30.0)
    assert not series.is_fresh("chat")
    series.page_read("chat", page(clock.now))
    clock.now += 90
    assert series.is_fresh("chat")
    clock.now += 1
    assert not series.is_fresh("chat")


def test_gpus_have_a_point_each_look_and_are_forgotten_when_they_go() -> None:
    clock, gpus = FakeClock(), {"GPU-1": {"busy_ratio": 0.5, "power_watts": 300.0}}
    series = SeriesRecorder(clock, lambda: gpus, lambda: asyncio.sleep(0))
    series.look_at_gpus()
    shown = series.to_json()["gpus"]["GPU-1"]
    assert shown == {
        "at": [clock.time()],
        "memory_used_bytes": [None],
        "busy_ratio": [0.5],
        "power_watts": [300.0],
    }
    gpus.clear()
    series.look_at_gpus()
    assert series.to_json()["gpus"] == {}


async def test_part_looks_at_gpus_and_asks_for_versions() -> None:
    clock, asked = FakeClock(), asyncio.Event()

    async def ask() -> None:
        asked.set()

    series = SeriesRecorder(clock, lambda: {"GPU-1": {}}, ask)
    (part,) = series.parts()
    running = asyncio.ensure_future(part.run())
    await asked.wait()
    assert list(series.to_json()["gpus"]) == ["GPU-1"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
