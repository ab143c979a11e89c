import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.metrics import values
from vllmd.errors import ScrapeError
from vllmd.scrape.metrics import PagesCollector
from vllmd.scrape.page import PageSource


def source_answering(*answers: httpx.Response) -> tuple[PageSource, FakeClock]:
    left = list(answers)
    transport = httpx.MockTransport(lambda _: left.pop(0))
    clock = FakeClock()
    client = httpx.AsyncClient(transport=transport)
    return PageSource("chat", "http://e", client, clock), clock


async def test_collect_before_any_reading_has_no_age() -> None:
    source, _ = source_answering()
    found = values(PagesCollector([source]).collect())
    assert found == {
        ("vllmd_engine_page_up", "chat"): 0,
        ("vllmd_engine_page_failures_total", "chat"): 0,
    }


async def test_collect_after_a_failure_shows_the_age_of_the_last_good_one() -> None:
    source, clock = source_answering(
        httpx.Response(200, content=b"vllm:x 1\nbad line\n"), httpx.Response(500)
    )
    await source.get()
    clock.now += 30
    with pytest.raises(ScrapeError):
        await source.get()
    found = values(PagesCollector([source]).collect())
    assert found["vllmd_engine_page_up", "chat"] == 0
    assert found["vllmd_engine_page_age_seconds", "chat"] == 30
    assert found["vllmd_engine_page_failures_total", "chat"] == 1
    assert found["vllmd_engine_page_size_bytes", "chat"] == 18
    assert found["vllmd_engine_page_rejected_lines", "chat"] == 1


async def test_version_is_shown_once_it_is_known_and_not_of_another_process() -> None:
    source, _ = source_answering(
        httpx.Response(200, content=b"vllm:x 1\n"),
        httpx.Response(200, content=b'{"version": "0.32.0"}'),
    )
    shown = ("vllmd_engine_version_info", "0.32.0", "chat")
    await source.get()
    assert shown not in values(PagesCollector([source]).collect())
    await source.ask_version()
    assert values(PagesCollector([source]).collect())[shown] == 1
    source.forget()
    assert shown not in values(PagesCollector([source]).collect())
