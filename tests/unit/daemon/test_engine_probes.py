import asyncio
import errno
import functools
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st

from tests.helpers.clock import FakeClock
from tests.helpers.make import DATA, engine, status
from vllmd.config import command
from vllmd.config.model import Config, DaemonConfig, EngineConfig
from vllmd.daemon.engine_probes import (
    RANK_HEADER,
    EngineProbes,
    ask_rank,
    heeds_ranks,
    look_afresh,
    parse_reading,
    read,
    send_canary,
)
from vllmd.demo.adapter import write_adapter
from vllmd.engine.liveness.reading import PageAnswer, RankProgress
from vllmd.lora.service import LoraService
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page, PageSource
from vllmd.scrape.recent import RecentPages
from vllmd.util.parts import PartRunner

COUNTS = [
    "vllm:iteration_tokens_total_count",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:generation_tokens_total",
    "vllm:engine_sleep_state",
]


def page(text: str) -> Page:
    return Page(parse_page(text.encode(), "chat").families, 0, len(text), 5.0, 0.1, 5.0, 5.1)


def recorded(name: str) -> str:
    return (DATA / "metrics" / name).read_text()


@pytest.mark.parametrize(
    ("name", "steps", "tokens"),
    [("vllm-0.32-cpu.prom", 117, 378), ("vllm-0.25-h200.prom", 321, 4347)],
)
def test_parse_reading_of_a_real_page(name: str, steps: int, tokens: int) -> None:
    reading = parse_reading(page(recorded(name)))
    assert (reading.answer, reading.at, reading.sleeping) == (PageAnswer.PAGE, 5.0, False)
    assert dict(reading.ranks) == {"0": RankProgress(steps, 0, 0, tokens)}


def test_parse_reading_ranks_and_sleep() -> None:
    text = recorded("vllm-0.32-cpu.prom")
    label = 'engine="0",model_name="tiny"'
    busy = text.replace(f"running{{{label}}} 0.0", f"running{{{label}}} 3.0")
    busy = busy.replace(f"waiting{{{label}}} 0.0", f"waiting{{{label}}} 2.0")
    assert parse_reading(page(busy)).ranks["0"] == RankProgress(117, 3, 2, 378)
    second = busy + f"vllm:iteration_tokens_total_count{{{label.replace('0', '1', 1)}}} 9.0\n"
    assert parse_reading(page(second)).ranks["1"] == RankProgress(9, 0, 0)
    asleep = text.replace(
        'sleep_state="weights_offloaded"} 0.0', 'sleep_state="weights_offloaded"} 1.0'
    )
    assert parse_reading(page(asleep)).sleeping
    level_0 = text.replace('sleep_state="awake"} 1.0', 'sleep_state="awake"} 0.0')
    assert level_0 != text
    assert parse_reading(page(level_0)).sleeping


def test_parse_reading_without_vllms_counts_knows_no_rank() -> None:
    text = (
        "# HELP http_requests_total x\n# TYPE http_requests_total counter\nhttp_requests_total 1\n"
    )
    assert dict(parse_reading(page(text)).ranks) == {}


Handler = Callable[[httpx.Request], httpx.Response]


def client_of(handler: Handler) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler))


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("all failed", request=request) from ConnectionRefusedError(111, "")


def hang(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("slow", request=request)


@pytest.mark.parametrize(
    ("handler", "answer"), [(refuse, PageAnswer.REFUSED), (hang, PageAnswer.NONE)]
)
async def test_read_refused_and_timed_out_are_told_apart(
    handler: Handler, answer: PageAnswer
) -> None:
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


@pytest.mark.parametrize(("code", "problem"), [(200, None), (503, "HTTP 503: no")])
async def test_ask_rank_names_it_and_says_what_came(code: int, problem: str | None) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(code, text="no")

    async with client_of(handler) as client:
        assert await ask_rank(client, engine(), None, 1) == problem
        await ask_rank(client, engine(), None, None)
    assert [RANK_HEADER in request.headers for request in seen] == [True, False]
    assert seen[0].headers[RANK_HEADER] == "1"


def _says(text: str, _: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=text)


async def test_what_a_request_of_ours_took_is_told_so_that_nobody_pays_for_it() -> None:
    told: list[tuple[int, int]] = []

    def handler(_: httpx.Request) -> httpx.Response:
        usage = {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
        return httpx.Response(200, json={"usage": usage})

    def spent(prompt: int, generated: int) -> None:
        told.append((prompt, generated))

    async with client_of(handler) as client:
        assert await send_canary(client, engine(), None, spent) is None
        assert await ask_rank(client, engine(), None, 1, spent) is None
    for said in ("no json", "[]", "{}", '{"usage": null}', '{"usage": {"prompt_tokens": []}}'):
        async with client_of(functools.partial(_says, said)) as client:
            assert await ask_rank(client, engine(), None, 1, spent) is None
    assert told == [(2, 1), (2, 1)]


async def test_rank_that_is_answered_though_there_is_none_is_no_tokens_of_a_client() -> None:
    told: list[tuple[int, int]] = []
    usage = '{"usage": {"prompt_tokens": 2, "completion_tokens": 1}}'
    async with client_of(functools.partial(_says, usage)) as client:
        assert await heeds_ranks(client, engine(), None, 2, lambda *n: told.append(n)) is False
    assert told == [(2, 1)]


@pytest.mark.parametrize(
    ("code", "text", "heeded"),
    [
        (400, "data_parallel_rank 2 is out of range [0, 2).", True),
        (200, "", False),
        (400, "This model's maximum context length is 1", False),
        (404, "Not Found", False),
        (401, "Unauthorized", False),
        (501, "The model does not support Completions API", False),
        (429, "", None),
        (503, "data_parallel_rank", None),
    ],
)
async def test_engine_heeds_ranks_if_it_refuses_one_that_it_has_not(
    code: int, text: str, heeded: bool | None
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers[RANK_HEADER] == "2"
        return httpx.Response(code, text=text)

    async with client_of(handler) as client:
        assert await heeds_ranks(client, engine(), None, 2) is heeded
    async with client_of(refuse) as client:
        assert await heeds_ranks(client, engine(), None, 2) is None


async def test_send_canary_engine_that_is_gone_is_said() -> None:
    async with client_of(refuse) as client:
        assert "all failed" in str(await send_canary(client, engine(), None))


async def test_read_keeps_the_page_among_the_recent_ones() -> None:
    async with client_of(lambda _: httpx.Response(200, text="vllm:x 1\n")) as client:
        clock, recent = FakeClock(), RecentPages()
        await read(PageSource("chat", "http://x", client, clock), recent, clock)
    assert b'vllm:x{vllmd_engine="chat"} 1' in recent.dump()


def adapters_of(
    given: EngineConfig, folder: Path, client: httpx.AsyncClient, clock: FakeClock
) -> LoraService:
    config = Config(daemon=DaemonConfig(state_dir=str(folder)), engines={given.name: given})
    return LoraService(config, command.build_all(config), lambda: [status()], client, clock)


async def until_loaded(asked: EngineProbes) -> None:
    """Ask as often as a busy host needs; each time is 0.2 s at most."""
    async with asyncio.timeout(60):
        while not await asked.loading():
            pass


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
    built, pages = command.build(given), RecentPages()
    asked = EngineProbes(
        given, built, source, client, clock, adapters, pages, PartRunner(), "bar of {}".format
    )
    await until_loaded(asked)
    assert loaded == ["sql"]
    assert asked.printing("run-1") == "bar of run-1"
    asked.forget()
    await until_loaded(asked)
    assert loaded == ["sql", "sql"]


def test_probes_without_a_wish_send_no_canary(tmp_path: Path) -> None:
    client, clock = client_of(refuse), FakeClock()
    for text, wanted in (("", False), ("liveness = { canary = true }", True)):
        given = engine(text)
        source = PageSource("chat", "http://x", client, clock)
        adapters = adapters_of(given, tmp_path, client, clock)
        built, pages = command.build(given), RecentPages()
        asked = EngineProbes(
            given, built, source, client, clock, adapters, pages, PartRunner(), "bar of {}".format
        )
        assert (asked.canary is not None) is wanted
        assert asked.canary is asked.canary  # another one would be another canary, begun anew
        assert asked.pages() == b""


ODD = ["NaN", "+Inf", "-Inf", "-1", "1e308", "1e400", "0", "3.5", "9007199254740993"]


@given_by(st.lists(st.tuples(st.sampled_from(COUNTS), st.sampled_from(ODD)), max_size=12))
def test_parse_reading_of_an_odd_page_never_raises(lines: list[tuple[str, str]]) -> None:
    text = "".join(f'{name}{{engine="0"}} {value}\n' for name, value in lines)
    reading = parse_reading(page(text))
    assert 0 <= reading.running < 2**60
    assert 0 <= reading.waiting < 2**60
    for rank in reading.ranks.values():
        assert rank.has_work in (True, False)
        assert rank.steps == rank.steps  # not a number would never stand still


@pytest.mark.long
@settings(deadline=None, max_examples=50)
@given_by(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_read_of_any_bytes_never_raises(content: bytes) -> None:
    async def go() -> PageAnswer:
        async with client_of(lambda _: httpx.Response(200, content=content)) as client:
            clock = FakeClock()
            source = PageSource("chat", "http://x", client, clock)
            return (await read(source, RecentPages(), clock)).answer

    assert asyncio.run(go()) in (PageAnswer.PAGE, PageAnswer.NONE)


def test_parse_reading_count_that_is_no_number_is_absent() -> None:
    label = 'engine="0",model_name="tiny"'
    text = recorded("vllm-0.32-cpu.prom")
    odd = text.replace(f"running{{{label}}} 0.0", f"running{{{label}}} NaN")
    assert odd != text
    assert parse_reading(page(odd)).running == 0


def fail_with(number: int) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("all failed", request=request) from OSError(number, "x")

    return handler


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (errno.ECONNREFUSED, PageAnswer.REFUSED),
        (errno.ECONNRESET, PageAnswer.NONE),
        (errno.EMFILE, PageAnswer.UNKNOWN),
        (errno.ENFILE, PageAnswer.UNKNOWN),
        (errno.ENOMEM, PageAnswer.UNKNOWN),
        (errno.EADDRNOTAVAIL, PageAnswer.UNKNOWN),
        (socket.EAI_NONAME, PageAnswer.UNKNOWN),
    ],
)
async def test_read_connection_that_we_cannot_make_says_nothing_of_the_engine(
    number: int, answer: PageAnswer
) -> None:
    async with client_of(fail_with(number)) as client:
        clock = FakeClock()
        source = PageSource("chat", "http://x", client, clock)
        reading = await read(source, RecentPages(), clock)
    assert reading.answer is answer
    assert bool(reading.problem) is (answer is PageAnswer.UNKNOWN)
    assert number < 0 or answer is not PageAnswer.UNKNOWN or os.strerror(number) in reading.problem


async def test_look_afresh_reads_the_page_of_a_running_server() -> None:
    text = recorded("vllm-0.32-cpu.prom").encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + text)
        writer.close()

    asked: list[str] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    given, clock, client = engine(f"port = {port}"), FakeClock(), client_of(refuse)
    source = PageSource("chat", "http://x", client, clock)
    parts = PartRunner()
    fresh = await look_afresh(given, "secret", source, parts, True)
    server.close()
    assert parts.failures() == {}
    assert (fresh.answer, fresh.canary) == (PageAnswer.PAGE, True)
    assert dict(fresh.ranks) == {"0": RankProgress(117, 0, 0, 378)}
    lines = [a.split(" HTTP")[0] for a in asked]
    assert lines == ["POST /v1/completions", "GET /metrics", "GET /is_paused"]
    assert "authorization: Bearer secret" in asked[0]


async def test_look_afresh_that_cannot_look_is_a_part_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse_a_process(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse_a_process)
    clock, parts = FakeClock(), PartRunner()
    source = PageSource("chat", "http://x", client_of(refuse), clock)
    for _ in range(5):
        fresh = await look_afresh(engine(), None, source, parts, False)
        assert fresh.answer is PageAnswer.UNKNOWN
    assert parts.failures() == {"look:chat": 5}
    assert "Too many open files" in str(parts.failing())
