"""What a reload leaves alone; over real processes in tests/integration/test_reload.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import config
from tests.helpers.shims import FakeSpawner
from vllmd.daemon import engine_probes
from vllmd.daemon.environment import Environment
from vllmd.daemon.reload import ConfigSnapshot
from vllmd.daemon.runtime import Runtime
from vllmd.doctor.on_start import OnStartDoctor
from vllmd.engine.state_machine import State
from vllmd.history.store import Store
from vllmd.history.writer import HistoryWriter
from vllmd.http.service import WebSettings
from vllmd.util.disk_thread import DiskThread

HEAD = """
[daemon]
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"
[gpu]
source = "none"
[traces]
listen_http = ""
listen_grpc = ""
"""
CHAT = """
[engines.chat]
model = "m"
executable = "stand-in"
port = 8001
unready_s = 0
"""
PAGE = """# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop"} 3.0
"""
EMBED = CHAT.replace("chat", "embed").replace("8001", "8002")


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that the API is the engine's: it is a test's."""
    monkeypatch.setattr(engine_probes, "owned_by_tree", lambda _shim, port: port > 0)


class Scene:
    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.clock, self.disk_thread, self.spawner = FakeClock(), DiskThread(), FakeSpawner()
        self.asked: list[str] = []
        self.page = ""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        environment = Environment(spawner=self.spawner)
        first = self.reading(text)
        self.history = HistoryWriter(Store(folder))
        self.runtime = Runtime(
            first,
            environment,
            history=self.history,
            on_start=OnStartDoctor(first.config, folder / "c.sock"),
            web=WebSettings(first.config.daemon, self.clock),
            client=client,
            clock=self.clock,
            disk_thread=self.disk_thread,
        )

    def reading(self, text: str) -> ConfigSnapshot:
        return ConfigSnapshot.of(config((HEAD + text).format(folder=self.folder)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        return httpx.Response(200, text=self.page)

    def states(self) -> dict[str, State]:
        return {s.name: s.state for s in self.runtime.engines.statuses()}

    async def until(self, **states: State) -> None:
        for _ in range(500):
            await self.clock.advance(0.1)
            await asyncio.sleep(0.005)
            if self.states() == states:
                return
        raise AssertionError(self.states())

    async def begun(self, shims: int) -> None:
        """Wait for the next start."""
        for _ in range(500):
            if len(self.spawner.shims) == shims:
                return
            await self.clock.advance(0.1)
            await asyncio.sleep(0.005)
        raise AssertionError(self.states())


@asynccontextmanager
async def running(folder: Path, text: str) -> AsyncIterator[Scene]:
    for name in ("run/engines", "state", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    scene = Scene(folder, text)
    scene.history.start()
    scene.runtime.begin()
    try:
        yield scene
    finally:
        await scene.runtime.end(leave_engines=True)
        await scene.runtime.close()
        for shim in scene.spawner.shims:
            if shim.is_listening:
                shim.vanish()
        scene.history.close()
        scene.disk_thread.close()


async def test_take_of_the_same_file_touches_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT) as scene:
        await scene.until(chat=State.READY)
        (before,) = scene.runtime.engines.statuses()
        scene.runtime.take(scene.reading(CHAT))
        await settle()
        (after,) = scene.runtime.engines.statuses()
        assert (after.since, after.run_id, after.adopted) == (before.since, before.run_id, False)
        assert after.transitions == before.transitions


async def test_take_of_another_port_reaches_what_runs_until_it_is_started_anew(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, CHAT) as scene:
        await scene.until(chat=State.READY)
        scene.runtime.take(scene.reading(CHAT.replace("8001", "9001")))
        scene.asked.clear()
        await scene.clock.advance(30)
        (engine,) = scene.runtime.engines.statuses()
        assert (engine.state, engine.command_changed) == (State.READY, True)
        assert engine.url == "http://127.0.0.1:8001"
        assert scene.asked
        assert all(":8001/" in url for url in scene.asked)
        scene.runtime.engines.supervisors["chat"].restart()
        await scene.begun(2)
        await scene.until(chat=State.READY)
        (engine,) = scene.runtime.engines.statuses()
        assert (engine.url, engine.command_changed) == ("http://127.0.0.1:9001", False)
        assert ":9001/" in scene.asked[-1]


async def test_take_leaves_or_stops_what_is_configured_no_more(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT + EMBED) as scene:
        await scene.until(chat=State.READY, embed=State.READY)
        chat, embed = scene.spawner.shims
        if chat.spec["engine"] == "embed":
            chat, embed = embed, chat
        scene.runtime.take(scene.reading(CHAT))
        await settle()
        assert scene.states() == {"chat": State.READY}
        assert embed.stops == []
        scene.runtime.take(scene.reading(CHAT + EMBED))
        await scene.until(chat=State.READY, embed=State.READY)
        assert len(scene.spawner.shims) == 2  # it was adopted
        embed.exits_when_stopped = False
        scene.runtime.take(scene.reading(CHAT), apply=True)
        await scene.until(chat=State.READY, embed=State.STOPPING)  # until it is gone
        assert not {s.name for s in scene.runtime.engines.statuses() if s.wanted} - {"chat"}
        await embed.end(0, requested=True)
        await scene.until(chat=State.READY)
        assert chat.stops == []


async def test_take_with_apply_restarts_what_runs_with_an_older_command(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT + EMBED) as scene:
        await scene.until(chat=State.READY, embed=State.READY)
        scene.runtime.take(scene.reading(CHAT + "max_model_len = 99" + EMBED), apply=True)
        await scene.begun(3)
        await scene.until(chat=State.READY, embed=State.READY)
        assert scene.spawner.last.spec["engine"] == "chat"


async def test_take_of_an_engine_that_is_just_being_stopped_starts_it_again(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT) as scene:
        await scene.until(chat=State.READY)
        shim = scene.spawner.last
        shim.exits_when_stopped = False
        scene.runtime.take(scene.reading(EMBED), apply=True)
        await scene.until(embed=State.READY, chat=State.STOPPING)
        scene.runtime.take(scene.reading(CHAT + EMBED), apply=True)
        await settle()
        assert scene.states()["chat"] is State.STOPPING  # an end under way is not broken off
        await shim.end(0, requested=True)
        await scene.until(chat=State.READY, embed=State.READY)
        assert [each.spec["engine"] for each in scene.spawner.shims] == ["chat", "embed", "chat"]


async def test_end_that_leaves_the_engines_hangs_up_and_stops_none(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT) as scene:
        await scene.until(chat=State.READY)
        shim = scene.spawner.last
        assert shim.watched == 1
        await scene.runtime.end(leave_engines=True)
        assert await shim.is_detached()
        assert shim.stops == []


async def test_page_of_an_engine_that_is_configured_no_more_is_nobodys_mistake(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, CHAT + EMBED) as scene:
        source = scene.runtime.engines.sources["embed"]
        scene.page = PAGE
        scene.runtime.take(scene.reading(CHAT))
        await source.get(max_age_s=0.0)
        assert not any(scene.runtime._environment.parts.failures().values())


async def test_mistake_of_who_uses_a_page_ends_no_look_at_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, CHAT) as scene:
        runtime = scene.runtime

        def fail(*_: object) -> None:
            raise KeyError("chat")

        monkeypatch.setattr(runtime.tracing, "page_read", fail)
        monkeypatch.setattr(runtime.cost_service, "page_read", fail)
        scene.page = PAGE
        page = await runtime.engines.sources["chat"].get(max_age_s=0.0)
        assert page.families
        failures = runtime._environment.parts.failures()
        assert (failures["tracing"], failures["usage"]) == (1, 1)


async def test_series_of_an_engine_begin_with_the_daemon(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT) as scene:
        scene.page = PAGE
        await scene.runtime.engines.sources["chat"].get(max_age_s=0.0)
        assert list(scene.runtime.series.to_json()["engines"]) == ["chat"]
