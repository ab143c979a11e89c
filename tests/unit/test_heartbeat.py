import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import DATA, engine, status
from vllmd.adapters import Adapters
from vllmd.config import command
from vllmd.config.model import Config, Daemon, Engine
from vllmd.demo.adapter import write_adapter
from vllmd.engine.liveness.reading import Answer, Rank
from vllmd.heartbeat import parse_reading, probes, read, send_canary
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page, PageSource
from vllmd.scrape.recent import RecentPages


def page(text: str) -> Page:
    return Page(parse_page(text.encode(), "chat").families, 0, len(text), 5.0, 0.1)


def recorded(name: str) -> str:
    return (DATA / "metrics" / name).read_text()


@pytest.mark.parametrize(
    ("name", "steps"), [("vllm-0.32-cpu.prom", 117), ("vllm-0.25-h200.prom", 321)]
)
def test_parse_reading_of_a_real_page(name: str, steps: int) -> None:
    reading = parse_reading(page(recorded(name)))
    assert (reading.answer, reading.at, reading.sleeping) == (Answer.PAGE, 5.0, False)
    assert dict(reading.ranks) == {"0": Rank(steps, 0, 0)}


def test_parse_reading_ranks_and_sleep() -> None:
    text = recorded("vllm-0.32-cpu.prom")
    label = 'engine="0",model_name="tiny"'
    busy = text.replace(f"running{{{label}}} 0.0", f"running{{{label}}} 3.0")
    busy = busy.replace(f"waiting{{{label}}} 0.0", f"waiting{{{label}}} 2.0")
    assert parse_reading(page(busy)).ranks["0"] == Rank(117, 3, 2)
    second = busy + f"vllm:iteration_tokens_total_count{{{label.replace('0', '1', 1)}}} 9.0\n"
    assert parse_reading(page(second)).ranks["1"] == Rank(9, 0, 0)
    asleep = text.replace(
        'sleep_state="weights_offloaded"} 0.0', 'sleep_state="weights_offloaded"} 1.0'
    )
    assert parse_reading(page(asleep)).sleeping


def test_parse_reading_without_vllms_counts_knows_no_rank() -> None:
    text = (
        "# HELP http_requests_total x\n# TYPE http_requests_total counter\nhttp_requests_total 1\n"
    )
    assert dict(parse_reading(page(text)).ranks) == {}


Handler = Callable[[httpx.Request], httpx.Response]


def client_of(handler: Handler) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler))


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def hang(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


@pytest.mark.parametrize(("handler", "answer"), [(refuse, Answer.REFUSED), (hang, Answer.NONE)])
async def test_read_refused_and_timed_out_are_told_apart(handler: Handler, answer: Answer) -> None:
    async with client_of(handler) as client:
        clock, recent = FakeClock(7.0), RecentPages()
        reading = await read(PageSource("chat", "http://x", client, clock), recent, clock)
    assert recent.dump() == b""
    assert (reading.at, reading.answer) == (7.0, answer)


@pytest.mark.parametrize(
    ("code", "problem"), [(200, None), (503, None), (401, "HTTP 401: no"), (500, "HTTP 500: no")]
)
async def test_send_canary_says_what_came(code: int, problem: str | None) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(code, text="no")

    async with client_of(handler) as client:
        configured = engine('served_model_name = ["a", "b"]')
        assert await send_canary(client, configured, "secret") == problem
    assert seen[0].headers["authorization"] == "Bearer secret"
    assert b'"max_tokens":1' in seen[0].content
    assert b'"model":"a"' in seen[0].content


async def test_send_canary_engine_that_is_gone_is_said() -> None:
    async with client_of(refuse) as client:
        assert "refused" in str(await send_canary(client, engine(), None))


async def test_read_keeps_the_page_among_the_recent_ones() -> None:
    async with client_of(lambda _: httpx.Response(200, text="vllm:x 1\n")) as client:
        clock, recent = FakeClock(), RecentPages()
        await read(PageSource("chat", "http://x", client, clock), recent, clock)
    assert b'vllm:x{vllmd_engine="chat"} 1' in recent.dump()


def adapters_of(
    given: Engine, folder: Path, client: httpx.AsyncClient, clock: FakeClock
) -> Adapters:
    config = Config(daemon=Daemon(state_dir=str(folder)), engines={given.name: given})
    return Adapters(config, command.build_all(config), lambda: [status()], client, clock)


async def test_probes_an_engine_is_not_ready_before_its_adapters_are(tmp_path: Path) -> None:
    loaded: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/load_lora_adapter":
            loaded.append(json.loads(request.content)["lora_name"])
        return httpx.Response(200, json={"data": []})

    text = f'lora = {{ modules = {{ sql = "{write_adapter(tmp_path / "sql")}" }} }}'
    given, clock = engine(text), FakeClock()
    client = client_of(answer)
    source = PageSource("chat", "http://x", client, clock)
    adapters = adapters_of(given, tmp_path, client, clock)
    asked = probes(given, command.build(given), source, client, clock, adapters, RecentPages())
    assert await asked.loading()
    assert loaded == ["sql"]
    asked.forget()
    assert await asked.loading()
    assert loaded == ["sql", "sql"]


def test_probes_without_a_wish_send_no_canary(tmp_path: Path) -> None:
    client, clock = client_of(refuse), FakeClock()
    for text, wanted in (("", False), ("liveness = { canary = true }", True)):
        given = engine(text)
        source = PageSource("chat", "http://x", client, clock)
        adapters = adapters_of(given, tmp_path, client, clock)
        asked = probes(given, command.build(given), source, client, clock, adapters, RecentPages())
        assert (asked.canary is not None) is wanted
        assert asked.pages() == b""
