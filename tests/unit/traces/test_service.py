import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.helpers.clock import FakeClock, settle
from tests.helpers.otlp import export, span
from tests.helpers.parts import running
from tests.helpers.ports import free_port
from vllmd.config import command
from vllmd.config.load import parse
from vllmd.config.model import Config
from vllmd.daemon.environment import Environment
from vllmd.scrape.families import parse_page
from vllmd.scrape.page import Page
from vllmd.traces.coverage import SETTLE_S
from vllmd.traces.service import TraceService

ENGINE = '[engines.chat]\nmodel = "m"\nexecutable = "sh"\nenv = { VLLM_API_KEY = "k3y" }\n'


class Scene:
    """Traces of one engine, whose /v1/models a test answers."""

    def __init__(self, more: str = "", sockets: dict[str, socket.socket] | None = None) -> None:
        self.port = free_port()
        table = f'[traces]\nlisten_http = "127.0.0.1:{self.port}"\nlisten_grpc = ""\n'
        self.config, _ = parse(table + more + "\n" + ENGINE)
        self.asked: list[httpx.Request] = []
        self.models: Any = {"data": [{"id": "tiny"}, {"id": "sql"}]}
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.clock = FakeClock()
        self.environment = Environment(sockets=sockets or {})
        self.started: list[Any] = []
        self.tracing = self.make(self.config)

    def make(self, config: Config) -> TraceService:
        return TraceService(
            config,
            self.environment,
            command.build_all(config),
            self.client,
            self.clock,
            lambda engine, part: self.started.append((engine, part.name)),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.models is None:
            return httpx.Response(503)
        return httpx.Response(200, json=self.models)

    async def send(self, *claims: str) -> httpx.Response:
        request = export(0)
        for claim in claims:
            request.MergeFrom(export(state=f"vllmd={claim}"))
        async with httpx.AsyncClient() as client:
            return await client.post(
                f"http://127.0.0.1:{self.port}/v1/traces",
                content=request.SerializeToString(),
                headers={"content-type": "application/x-protobuf"},
            )

    def page(self, finished: int) -> Page:
        text = f'vllm:request_success_total{{finished_reason="stop"}} {finished}\n'
        families = parse_page(text.encode(), "chat").families
        return Page(families, 0, len(text), self.clock.monotonic(), 0.1)


async def test_spans_are_received_and_their_adapters_are_those_that_the_engine_lists() -> None:
    scene = Scene()
    await scene.tracing.open()
    assert (await scene.send("sql", "nosuch", "tiny")).status_code == 200
    await scene.tracing.close(flush=True)
    aggregate = scene.tracing.figures().state.aggregate
    assert {key[1] for key in aggregate.series} == {"sql", "tiny", "unknown"}
    assert scene.asked[0].headers["authorization"] == "Bearer k3y"
    assert scene.asked[0].url == "http://127.0.0.1:8000/v1/models"


@pytest.mark.parametrize("models", [None, {"data": None}, {"data": [{}]}, []])
async def test_an_engine_that_does_not_list_its_models_leaves_adapters_unknown(models: Any) -> None:
    scene = Scene()
    scene.models = models
    await scene.tracing.open()
    assert (await scene.send("sql")).status_code == 200
    await scene.tracing.close(flush=False)
    assert set(scene.tracing.figures().state.aggregate.series) == {("chat", "unknown")}


async def test_a_port_that_somebody_has_is_a_problem_that_is_told() -> None:
    scene = Scene()
    with socket.create_server(("127.0.0.1", scene.port)):
        await scene.tracing.open()
        assert "in use" in str(scene.tracing.problem())
        assert scene.tracing.figures().ports == {"http": False}
        assert scene.tracing.windows()["problem"] == scene.tracing.problem()
    await scene.tracing.open()
    assert scene.tracing.problem() is None
    await scene.tracing.close(flush=False)


async def test_a_socket_of_the_manager_is_used_and_stays() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        scene = Scene(sockets={"otlp-http": held})
        scene.port = held.getsockname()[1]
        await scene.tracing.open()
        assert (await scene.send("sql")).status_code == 200
        await scene.tracing.close(flush=False)
        with socket.create_connection(held.getsockname()):
            pass


async def test_coverage_compares_what_came_with_what_the_page_says() -> None:
    scene = Scene()
    tracing, aggregate = scene.tracing, scene.environment.traces.aggregate
    tracing.page_read("chat", scene.page(0))
    for _ in range(3):
        aggregate.add("chat", span(), frozenset())
    scene.clock.now += 5
    tracing.page_read("chat", scene.page(4))
    assert tracing.figures().coverage == {}
    scene.clock.now += SETTLE_S
    tracing.page_read("chat", scene.page(4))
    assert tracing.figures().coverage == {"chat": 0.75}


async def test_windows_end_and_their_requests_are_logged() -> None:
    scene = Scene("window_s = 30\nslowest = 1\n")
    with structlog.testing.capture_logs() as logs:
        async with running(scene.tracing.parts(), scene.clock):
            await settle()
            await scene.send("sql")
            await scene.send("sql")
            current = scene.tracing.windows()["current"]
            assert current["requests"] == 2
            await scene.clock.advance(31)
    (line,) = (entry for entry in logs if entry["event"] == "request.slow")
    assert line["engine"] == "chat"
    assert line["adapter"] == "sql"
    assert "time_to_first_token" in line["ranks"]
    last = scene.tracing.windows()["last"]
    assert last["requests"] == 2
    assert scene.tracing.windows()["current"] is None
    await scene.tracing.close(flush=False)


async def test_a_mistake_in_it_costs_spans_and_nothing_else() -> None:
    scene = Scene("window_s = 1\n")
    broken, calls = scene.environment.traces.slowest, []

    def end(now: float) -> None:
        calls.append(now)
        raise RuntimeError("a mistake")

    broken.end = end  # type: ignore[method-assign]
    async with running(scene.tracing.parts(), scene.clock) as parts:
        await settle()
        await scene.send("sql")
        await scene.clock.advance(20)
        assert (await scene.send("sql")).status_code == 200
        assert parts.failures() == {"otlp_http": 0, "slow_requests": len(calls)}
    await scene.tracing.close(flush=False)
    assert len(calls) > 1


async def test_what_was_counted_outlives_a_daemon_that_begins_anew() -> None:
    scene = Scene()
    scene.environment.traces.aggregate.add("chat", span(), frozenset())
    scene.environment.traces.aggregate.add("gone", span(), frozenset())
    again = scene.make(scene.config)
    assert set(again.figures().state.aggregate.series) == {("chat", "unknown")}


async def test_a_forward_that_cannot_be_set_up_costs_only_itself(tmp_path: Path) -> None:
    missing = tmp_path / "headers"
    forward = f'[traces.forward]\nendpoint = "http://tempo:4318"\nheaders_file = "{missing}"\n'
    scene = Scene(forward)
    assert scene.tracing.figures().forward_up is None
    assert not scene.environment.traces.queue.wanted
    await scene.tracing.open()
    assert (await scene.send("sql")).status_code == 200
    await scene.tracing.close(flush=True)
    broken = '[traces.forward]\nendpoint = "https://tempo:4318"\nca_file = "/nonexistent/ca.pem"\n'
    assert Scene(broken).tracing.figures().forward_up is None


async def test_a_forward_that_is_taken_out_drops_what_waits() -> None:
    scene = Scene('[traces.forward]\nendpoint = "http://127.0.0.1:9"\n')
    queue = scene.environment.traces.queue
    queue.put(b"x", 3)
    config, _ = parse(ENGINE)
    scene.make(config)
    assert (len(queue), queue.wanted, queue.outcomes["dropped"]) == (0, False, 3)
