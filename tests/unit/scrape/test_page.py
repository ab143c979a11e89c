import asyncio

import httpx
import pytest

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import DATA
from vllmd.errors import ScrapeError
from vllmd.scrape import page as page_module
from vllmd.scrape.page import PageSource


class Engine:
    """An engine's /metrics that a test can slow down, break and count."""

    def __init__(self) -> None:
        self.requests = self.asked = 0
        self.version = b'{"version": "0.33.0+cpu"}'
        self.status = 200
        self.content = b"vllm:x 1\n"
        self.gate = asyncio.Event()
        self.gate.set()
        self.clock = FakeClock()
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.source = PageSource("chat", "http://engine", client, self.clock)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            self.asked += 1
            return httpx.Response(200, content=self.version)
        assert request.url.path == "/metrics"
        self.requests += 1
        await self.gate.wait()
        return httpx.Response(self.status, content=self.content)


async def test_get_concurrent_scrapes_share_one_fetch() -> None:
    engine = Engine()
    engine.gate.clear()
    waiting = [asyncio.create_task(engine.source.get()) for _ in range(10)]
    await settle()
    engine.gate.set()
    pages = await asyncio.gather(*waiting)
    assert engine.requests == 1
    assert all(page is pages[0] for page in pages)


async def test_get_page_is_never_older_than_a_second() -> None:
    engine = Engine()
    await engine.source.get()
    engine.clock.now += 0.9
    await engine.source.get()
    assert engine.requests == 1
    engine.clock.now += 0.2
    await engine.source.get()
    assert engine.requests == 2


@pytest.mark.parametrize(("status", "content"), [(500, b""), (200, b"\xff")])
async def test_get_unreadable_page_is_an_error_not_the_last_one(
    status: int, content: bytes
) -> None:
    engine = Engine()
    await engine.source.get()
    engine.clock.now += 2
    engine.status, engine.content = status, content
    with pytest.raises(ScrapeError):
        await engine.source.get()
    assert not engine.source.up
    assert engine.source.failures == 1
    engine.status, engine.content = 200, b"vllm:x 2\n"
    assert (await engine.source.get()).families[0].samples == [b'vllm:x{vllmd_engine="chat"} 2']


async def test_get_slow_engine_costs_the_deadline_and_the_fetch_goes_on() -> None:
    engine = Engine()
    engine.gate.clear()
    with pytest.raises(ScrapeError, match="did not answer within"):
        await engine.source.get(timeout_s=0.01)
    engine.gate.set()
    assert (await engine.source.get()).families
    assert engine.requests == 1


async def test_get_endless_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MAX_PAGE_BYTES", 100)
    engine = Engine()
    engine.content = b"x" * 101
    with pytest.raises(ScrapeError, match="larger than 100"):
        await engine.source.get()


async def test_forget_drops_what_was_read() -> None:
    engine = Engine()
    await engine.source.get()
    assert engine.source.age_s() == 0
    engine.source.forget()
    assert engine.source.age_s() is None
    assert not engine.source.up


async def test_ask_version_is_asked_once_and_forgotten_with_the_process() -> None:
    engine = Engine()
    await engine.source.ask_version()
    assert engine.asked == 0, "nothing answers there yet"
    await engine.source.get()
    await engine.source.ask_version()
    await engine.source.ask_version()
    assert (engine.source.version, engine.asked) == ("0.33.0+cpu", 1)
    engine.source.forget()
    assert engine.source.version is None


@pytest.mark.parametrize(
    "answer", [b"no json", b"[]", b"{}", b'{"version": "a b <script>"}', b"9" * 5000, b'"x"']
)
async def test_ask_version_that_is_none_is_asked_again_after_a_minute(answer: bytes) -> None:
    engine = Engine()
    engine.version = answer
    await engine.source.get()
    await engine.source.ask_version()
    await engine.source.ask_version()
    assert (engine.source.version, engine.asked) == (None, 1)
    engine.clock.now += 61
    engine.version = b'{"version": "0.33.0"}'
    await engine.source.ask_version()
    assert engine.source.version == "0.33.0"


async def test_readable_is_whether_the_last_reading_was_good() -> None:
    engine = Engine()
    assert engine.source.readable is None
    await engine.source.get()
    assert engine.source.readable is True
    engine.status = 500
    engine.clock.now += 2
    with pytest.raises(ScrapeError):
        await engine.source.get()
    assert engine.source.readable is False
    engine.source.forget()
    assert engine.source.readable is None


async def test_shown_leaves_out_vllms_own_histograms_where_nobody_wants_them() -> None:
    engine = Engine()
    engine.content = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_bytes()
    page = await engine.source.get()
    all_of_it = engine.source.shown(page)
    engine.source.passes_histograms = False
    shown = engine.source.shown(page)
    left_out = {f.name for f in all_of_it} - {f.name for f in shown}
    assert left_out == {f.name for f in page.families if f.type == b"histogram"}
    assert b"vllm:e2e_request_latency_seconds" in left_out
    assert b"vllmd_request_latency_seconds" in {f.name for f in shown}
    size = [sum(map(len, (s for f in each for s in f.samples))) for each in (all_of_it, shown)]
    assert size[1] < size[0] / 2
