"""Whatever breaks in the daemon, the daemon lives: each of its parts in turn, wherever it waits.

The parts are those of the daemon that runs, so that a new one is covered by itself.
"""

import asyncio
import errno
import io
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.helpers.breaking import BreakingParts
from tests.helpers.make import config
from tests.helpers.ports import free_port
from vllmd.control.client import ControlClient
from vllmd.daemon.daemon import Daemon
from vllmd.daemon.environment import Address, Environment
from vllmd.demo.adapter import write_adapter
from vllmd.engine.state_machine import State
from vllmd.eventlog import log

pytestmark = pytest.mark.long

TABLES = """
[daemon]
listen = "127.0.0.1:{exporter}"
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"

[traces]
listen_http = "127.0.0.1:{http}"
listen_grpc = "127.0.0.1:{grpc}"

[traces.forward]
endpoint = "http://127.0.0.1:9"

[notify]
webhook_url = "http://127.0.0.1:9/"

[gpu]
source = "demo"
"""
ENGINE = """
[engines.chat]
model = "stand-in/tiny"
executable = "stand-in"
port = {port}
unready_s = 0
env = {{ VLLMD_STAND_IN_LOAD_S = "0.1", VLLMD_STAND_IN_DEATH_S = "0.1" }}
lora = {{ modules = {{ sql = "{folder}/sql" }} }}
"""
ERRORS: dict[str, Callable[[], BaseException]] = {
    "EMFILE": lambda: OSError(errno.EMFILE, "Too many open files"),
    "KeyError": lambda: KeyError("cpu_s"),
    "RuntimeError": lambda: RuntimeError("a mistake"),
    "MemoryError": MemoryError,
}

EXPECTED = {"EMFILE", "KeyError"}
"""Kinds that a part may know how to go on after, by itself."""


class Scene:
    """A daemon whose parts a test breaks."""

    def __init__(self, parts: BreakingParts, daemon: Daemon, address: Address) -> None:
        self.parts, self.daemon, self.address = parts, daemon, address

    async def until(self, what: str, ask: Callable[[], Any]) -> None:
        for _ in range(1500):
            if ask():
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"never came: {what}; {dict(self.parts.failures())}")

    async def begun(self, name: str, times: int) -> None:
        """Wait until a part was begun so often."""
        await self.until(f"{name} again", lambda: self.parts.runs[name].begun >= times)

    async def break_where_it_waits(self, name: str, error: BaseException, *, handled: bool) -> None:
        """Break a part, and see that it is counted and begun again."""
        run, failures = self.parts.runs[name], self.parts.failures()[name]
        begun = run.begun
        run.break_with(error)
        await self.until(f"{name} broken", lambda: run.broken_with is None)
        if handled:
            await asyncio.sleep(0.1)
            if run.begun == begun:
                assert self.parts.failures()[name] == failures
                return
        await self.begun(name, begun + 1)
        assert self.parts.failures()[name] == failures + 1, (name, error)

    async def healthy(self) -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.address.exporter}/-/healthy")
            return answer.status_code == 200

    async def answers(self) -> None:
        """Wait until the daemon is healthy, however its server was broken just now."""
        for _ in range(100):
            try:
                if await self.healthy():
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
        pytest.fail("the daemon does not answer")

    @property
    def state(self) -> State:
        return self.daemon._runtime.engines.supervisors["chat"].status.state


@asynccontextmanager
async def running(
    folder: Path, parts: BreakingParts, *, engine: bool = False
) -> AsyncIterator[Scene]:
    """Run a daemon with as many parts as there are; its end must be an orderly one."""
    ports = {"exporter": free_port(), "http": free_port(), "grpc": free_port()}
    text = TABLES.format(folder=folder, **ports)
    if engine:
        write_adapter(folder / "sql")
        text += ENGINE.format(folder=folder, port=free_port())
    environment = Environment(parts=parts)
    log.configure(io.StringIO(), steps=[environment.redactor, environment.feed])
    daemon = Daemon(config(text), environment)
    address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(address.set_result))
    await asyncio.wait({task, address}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    if task.done():
        task.result()
    try:
        yield Scene(parts, daemon, address.result())
        assert not task.done(), "the daemon has ended"
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 30)


async def test_every_part_that_raises_at_its_first_step_is_tried_again_and_the_rest_lives(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "all", BreakingParts()) as scene:
        names = list(scene.parts.runs)
    assert {"exporter", "control", "gpu_reader", "systemd", "webhook", "usage"} <= set(names)
    kinds = list(ERRORS.values())
    for number, name in enumerate(names):
        parts = BreakingParts()
        parts.always[name] = kinds[number % len(kinds)]()
        async with running(tmp_path / name, parts) as scene:
            await scene.begun(name, 2)
            await scene.answers()
            failures = parts.failures()
            assert {n for n, count in failures.items() if count} == {name}
            assert failures[name] == 1


@pytest.mark.parametrize("kind", ERRORS)
async def test_all_parts_that_raise_at_once_are_tried_again_and_the_engine_serves(
    kind: str, tmp_path: Path
) -> None:
    parts = BreakingParts()
    parts.always["*"] = ERRORS[kind]()
    async with running(tmp_path, parts, engine=True) as scene:
        await scene.until("the engine", lambda: scene.state is State.READY)
        await scene.answers()
        assert {"engine:chat", "lora:chat"} <= parts.runs.keys()
        assert {name: parts.failures()[name] for name in parts.runs} == dict.fromkeys(parts.runs, 1)
        assert {name: run.begun for name, run in parts.runs.items()} == dict.fromkeys(parts.runs, 2)


async def test_every_part_that_raises_where_it_waits_is_tried_again_and_the_engine_serves(
    tmp_path: Path,
) -> None:
    """Each kind of error in each part, while an engine serves: its process is the same after."""
    parts = BreakingParts()
    async with running(tmp_path, parts, engine=True) as scene:
        await scene.until("the engine", lambda: scene.state is State.READY)
        pid = scene.daemon._runtime.engines.supervisors["chat"].status.pid
        broken = [name for name, run in parts.runs.items() if not run.done]
        for name in broken:
            for kind, error in ERRORS.items():
                await scene.break_where_it_waits(name, error(), handled=kind in EXPECTED)
            await scene.answers()
        await scene.until("the engine again", lambda: scene.state is State.READY)
        assert scene.daemon._runtime.engines.supervisors["chat"].status.pid == pid
        status = await asyncio.to_thread(ControlClient(Path(scene.address.control)).status)
        assert {each["part"] for each in status["daemon"]["failing"]} <= parts.runs.keys()
        assert len(broken) > 10


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def break_listener(name: str, scene: Scene) -> None:
    def fails(_: object) -> None:
        raise KeyError("a field")

    feed = scene.daemon._environment.feed
    kept = dict(feed._listeners)
    feed._listeners = {name: fails}
    feed(None, "info", {"event": "engine.spawned", "level": "info"})
    feed._listeners = kept


def break_history(scene: Scene, patch: pytest.MonkeyPatch) -> None:
    append = type(scene.daemon._history._store).append
    left = [TypeError("no JSON")]

    def fails(store: Any, batch: Any) -> None:
        if left and len(batch) == 1:
            raise left.pop()
        if left:
            raise left[0]
        append(store, batch)

    patch.setattr("vllmd.history.store.Store.append", fails)
    feed = scene.daemon._environment.feed
    feed(None, "info", {"event": "engine.spawned", "level": "info"})


async def test_threads_listeners_and_callbacks_that_raise_are_counted_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that counts failures is broken once; what a test here cannot break yet, fails it."""
    parts = BreakingParts()
    async with running(tmp_path, parts) as scene:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        scene.daemon._disk_thread.do(lambda: 1 / 0)  # type: ignore[arg-type]
        break_history(scene, monkeypatch)
        others = parts.failures().keys() - parts.runs.keys()
        for name in others:
            if name.startswith("events:"):
                break_listener(name.removeprefix("events:"), scene)
        await scene.until("all", lambda: all(parts.failures()[name] == 1 for name in others))
        await scene.until("the loop's", lambda: parts.failures()["event_loop"] == 1)
        await scene.answers()


@pytest.mark.parametrize("kind", ["folder", "fifo", "garbage", "null", "list", "other", "deep"])
async def test_files_of_the_state_that_are_something_else_end_no_daemon(
    kind: str, tmp_path: Path
) -> None:
    async with running(tmp_path, BreakingParts(), engine=True) as scene:
        await scene.until("the engine", lambda: scene.state is State.READY)
        await asyncio.to_thread(scene.daemon._history.flush)
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert {"gpus.json", "daemon.json", "chat.json"} <= {path.name for path in files}
    for path in files:
        if path.name.startswith("vllmd.db") and kind in ("folder", "fifo"):
            continue  # it is said by vllmd_history_up; test_writer.py
        path.unlink()
        match kind:
            case "folder":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case "garbage":
                path.write_bytes(b"\xff\x00garbage")
            case "null":
                path.write_text("null")
            case "list":
                path.write_text("[1]")
            case "deep":
                path.write_text("[" * 100_000)
            case "other":
                path.write_text('{"version": "x", "boot": [1], "end": 5, "processes": 7}')
    parts = BreakingParts()
    async with running(tmp_path, parts, engine=True) as scene:
        await scene.until("the engine", lambda: scene.state is State.READY)
        await scene.answers()
        assert {name: n for name, n in parts.failures().items() if n} == {}
