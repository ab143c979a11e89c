import asyncio
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.helpers.clock import FakeClock
from tests.helpers.eventually import eventually
from tests.helpers.make import DATA
from vllmd.collectors.runner import CollectorRunner
from vllmd.daemon.metrics.build import BuildCollector
from vllmd.http.metrics_page import MetricsPage, accepts_openmetrics, parse_deadline
from vllmd.scrape.families import Family
from vllmd.scrape.page import Page, PageSource

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
REAL = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_bytes()


def page_of(*pages: bytes | None) -> MetricsPage:
    sources = []
    for number, content in enumerate(pages):
        answer = httpx.Response(500) if content is None else httpx.Response(200, content=content)
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _, a=answer: a))
        sources.append(PageSource(f"e{number}", "http://e", client, FakeClock()))
    return MetricsPage(CollectorRunner([BuildCollector()], FakeClock()), lambda: sources)


async def test_render_openmetrics_of_two_engines_is_one_valid_page() -> None:
    body, content_type = await page_of(REAL, REAL).render(PROMETHEUS, "10")
    assert content_type.startswith("application/openmetrics-text")
    assert body.count(b"# EOF") == 1
    names = [f.name for f in parse_openmetrics(body.decode())]  # type: ignore[no-untyped-call]
    assert len(names) == len(set(names))
    assert {"vllmd_build_info", "vllm:generation_tokens"} <= set(names)


async def test_render_text_is_the_default() -> None:
    body, content_type = await page_of(REAL).render("", "")
    assert content_type.startswith("text/plain; version=0.0.4")
    assert b"# EOF" not in body
    assert "vllm:num_requests_running" in [f.name for f in parse_text(body.decode())]


async def test_render_engine_that_cannot_be_read_is_absent() -> None:
    body, _ = await page_of(None, REAL).render("", "")
    assert b'vllmd_engine="e1"' in body
    assert b'vllmd_engine="e0"' not in body
    assert b"vllmd_build_info" in body


@pytest.mark.parametrize(
    ("accept", "openmetrics"), [(PROMETHEUS, True), ("*/*", False), ("text/plain", False)]
)
def test_accepts_openmetrics_reads_the_header(accept: str, openmetrics: bool) -> None:
    assert accepts_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("header", "deadline"),
    [("5", 3.0), ("", 4.0), ("x", 4.0), ("-1", 4.0), ("60", 4.0), ("inf", 4.0)],
)
def test_parse_deadline_leaves_time_to_send(header: str, deadline: float) -> None:
    assert parse_deadline(header) == deadline


class Odd:
    """A registry of which one family cannot be written."""

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("vllmd_before", "It is right.", value=1)
        odd = GaugeMetricFamily("vllmd_odd", "It has no number.")
        odd.add_metric([], None)  # type: ignore[arg-type]
        yield odd
        yield GaugeMetricFamily("vllmd_after", "It is right.", value=2)


@pytest.mark.parametrize("accept", [PROMETHEUS, ""])
async def test_render_family_that_cannot_be_written_costs_itself(accept: str) -> None:
    body, _ = await MetricsPage(Odd(), list).render(accept, "")
    assert b"vllmd_before 1.0" in body
    assert b"vllmd_after 2.0" in body
    assert b"vllmd_odd" not in body


@pytest.mark.parametrize("accept", [PROMETHEUS, ""])
async def test_render_engine_whose_page_cannot_be_shown_costs_no_other(
    accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = PageSource.shown

    def fail(self: PageSource, page: Page) -> list[Family]:
        if self.engine == "e0":
            raise IndexError("a mistake")
        return shown(self, page)

    monkeypatch.setattr(PageSource, "shown", fail)
    body, _ = await page_of(REAL, REAL).render(accept, "")
    assert b"vllmd_build_info" in body
    assert b'vllmd_engine="e1"' in body
    assert b'vllmd_engine="e0"' not in body


class Counted:
    """A registry that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        yield GaugeMetricFamily("vllmd_asked", "How often.", value=self.asked)


async def test_render_scrapes_that_wait_together_are_one_page() -> None:
    registry = Counted()
    page = MetricsPage(registry, list)
    answers = await asyncio.gather(*(page.render("", "10") for _ in range(200)))
    assert registry.asked == 1
    assert len(set(answers)) == 1
    timeouts = ["", "10", "5", "0.3", "2"]
    await asyncio.gather(*(page.render("", timeouts[n % 5]) for n in range(200)))
    assert registry.asked <= 3  # whoever is ready first, and all the others
    registry.asked = 1
    formats = await asyncio.gather(page.render("", ""), page.render(PROMETHEUS, ""))
    assert registry.asked == 3
    assert [kind.split(";")[0] for _, kind in formats] == [
        "text/plain",
        "application/openmetrics-text",
    ]


async def test_render_scrape_that_comes_once_a_page_is_begun_gets_the_next() -> None:
    registry = Counted()
    page = MetricsPage(registry, list)
    first = asyncio.create_task(page.render("", ""))
    await eventually(lambda: registry.asked)
    others = [asyncio.create_task(page.render("", "")) for _ in range(20)]
    assert b"vllmd_asked 1.0" in (await first)[0]
    bodies = {(await other)[0] for other in others}
    assert len(bodies) == 1
    assert b"vllmd_asked 2.0" in bodies.pop()


async def test_render_waiting_for_an_engine_holds_up_nobody_whose_timeout_is_short() -> None:
    answered = asyncio.Event()

    async def answer(_: httpx.Request) -> httpx.Response:
        await answered.wait()
        return httpx.Response(200, content=REAL)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    source = PageSource("slow", "http://e", client, FakeClock())
    page = MetricsPage(Counted(), lambda: [source])
    patient = asyncio.create_task(page.render("", "60"))
    await asyncio.sleep(0)
    hasty, _ = await page.render("", "0.1")
    assert b"vllmd_asked" in hasty
    assert b"vllm:" not in hasty
    answered.set()
    assert b"vllm:" in (await patient)[0]


async def test_render_mistake_of_a_collector_reaches_everybody_who_waits_and_is_over() -> None:
    class Broken(Counted):
        def collect(self) -> Iterator[Metric]:
            if not self.asked:
                self.asked += 1
                raise RuntimeError("a mistake")
            return super().collect()

    page = MetricsPage(Broken(), list)
    results = await asyncio.gather(*(page.render("", "") for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in results] == ["a mistake"] * 3
    assert b"vllmd_asked" in (await page.render("", ""))[0]


async def test_render_gives_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllmd.http.metrics_page.PIECE_S", 0)
    page = page_of(REAL, REAL)
    await page.render("", "")
    turns = 0
    rendering = asyncio.create_task(page.render("", ""))
    while not rendering.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 50
