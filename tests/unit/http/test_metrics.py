import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.helpers.clock import FakeClock
from tests.helpers.make import DATA
from vllmd.collectors.build import BuildCollector
from vllmd.collectors.runner import Runner
from vllmd.http.metrics import MetricsPage, accepts_openmetrics, parse_deadline
from vllmd.scrape.page import PageSource

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
    return MetricsPage(Runner([BuildCollector()], FakeClock()), lambda: sources)


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
