"""A whole daemon, and what becomes of it when the disks that it uses hang."""

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from tests.helpers.hung_disk import HungDisk, hung_disk
from tests.helpers.make import config
from tests.helpers.ports import free_port
from vllmd.control.client import ControlClient
from vllmd.daemon.daemon import Daemon
from vllmd.daemon.environment import Address, Environment
from vllmd.engine.state_machine import State
from vllmd.eventlog import log

pytestmark = pytest.mark.long

TABLES = """
[daemon]
listen = "127.0.0.1:{exporter}"
run_dir = "{folder}/run"
state_dir = "{disk}/state"
log_dir = "{disk}/log"
poll_s = 0.2

[traces]
listen_http = "127.0.0.1:{http}"
listen_grpc = "127.0.0.1:{grpc}"

[gpu]
source = "none"

[engines.chat]
model = "{disk}/model"
executable = "{disk}/venv/bin/vllm"
port = {engine}
unready_s = 0
drain_s = 0
stop_grace_s = 1
liveness.stall_s = 2
restart.initial_s = 0.1
env = {{ VLLMD_STAND_IN_LOAD_S = "0.1", VLLMD_STAND_IN_DEATH_S = "0.1" }}
"""


class Scene:
    """A daemon with one engine, all of whose files are on one disk."""

    def __init__(self, daemon: Daemon, address: Address, engine_port: int) -> None:
        self.daemon, self.address, self._port = daemon, address, engine_port
        self.supervisor = daemon._runtime.engines.supervisors["chat"]
        self.asking: set[asyncio.Task[None]] = set()

    async def until(self, what: str, ask: Callable[[], Any]) -> None:
        for _ in range(3000):
            if ask():
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"never came: {what}; {self.supervisor.status}")

    async def until_state(self, state: State) -> None:
        await self.until(state, lambda: self.supervisor.status.state is state)

    async def page(self, path: str) -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.get(f"{self.address.exporter}{path}")
            assert answer.status_code == 200, path
            return answer.text

    async def status(self) -> dict[str, Any]:
        client = ControlClient(Path(self.address.control))
        return (await asyncio.to_thread(client.status))["daemon"]  # type: ignore[no-any-return]

    def ask_engine(self) -> None:
        """Send it a request that nobody waits for."""

        async def ask() -> None:
            body = {"model": self.supervisor.status.model, "prompt": "x", "max_tokens": 5}
            url = f"http://127.0.0.1:{self._port}/v1/completions"
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                await client.post(url, json=body)

        task = asyncio.ensure_future(ask())
        self.asking.add(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    def stop_core(self) -> None:
        """Let the engine hang: the process that computes is stopped."""
        pid = self.supervisor.status.pid
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    stat = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
                    title = Path(f"/proc/{entry}/cmdline").read_text()
                except OSError:
                    continue
                if int(stat[1]) == pid and "EngineCore" in title:
                    os.kill(int(entry), signal.SIGSTOP)


@asynccontextmanager
async def running(folder: Path, disk: Path, *, leave: bool = False) -> AsyncIterator[Scene]:
    """Run a daemon with an engine that serves."""
    program = disk / "venv" / "bin" / "vllm"
    if not program.exists():
        program.parent.mkdir(parents=True)
        (disk / "model").mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m vllmd.demo "$@"\n')
        program.chmod(0o755)
    ports = {name: free_port() for name in ("exporter", "engine", "http", "grpc")}
    environment = Environment(leaves_engines=leave)
    log.configure(io.StringIO(), steps=[environment.redactor, environment.feed])
    daemon = Daemon(config(TABLES.format(folder=folder, disk=disk, **ports)), environment)
    address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(daemon.run(address.set_result))
    await asyncio.wait({task, address}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    if task.done():
        task.result()
    scene = Scene(daemon, address.result(), ports["engine"])
    try:
        yield scene
        assert not task.done(), "the daemon has ended"
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 60)
        for each in scene.asking:
            each.cancel()


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[HungDisk, Path]]:
    """A disk that may hang, and the folder where it is."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with hung_disk(folder) as disk:
        yield disk, folder


async def test_no_file_on_a_disk_that_may_hang_is_touched_on_the_event_loop(
    tmp_path: Path, place: tuple[HungDisk, Path]
) -> None:
    disk, folder = place
    async with running(tmp_path, folder) as scene:
        await scene.until_state(State.READY)
        for path in ("/metrics", "/", "/status.json", "/ready/chat", "/-/healthy"):
            await scene.page(path)
        await scene.status()
        client = ControlClient(Path(scene.address.control))
        await asyncio.to_thread(client.events, {})
        pid = scene.supervisor.status.pid or 0
        os.kill(pid, signal.SIGKILL)
        await scene.until("another", lambda: scene.supervisor.status.pid not in (pid, None))
        await scene.until_state(State.READY)
        scene.stop_core()
        scene.ask_engine()
        await scene.until_state(State.STALLED)
        await scene.until_state(State.READY)
        scene.supervisor.stop()
        await scene.supervisor.saved()
        await scene.until_state(State.STOPPED)
        await scene.daemon._runtime.outputs.rotate("chat")
    async with running(tmp_path, folder) as scene:
        scene.supervisor.start()
        await scene.supervisor.saved()
        await scene.until_state(State.READY)
    assert disk.on_loop == {}


async def test_disks_that_hang_are_named_and_a_hung_engine_is_ended_all_the_same(
    tmp_path: Path, place: tuple[HungDisk, Path]
) -> None:
    disk, folder = place
    async with running(tmp_path, folder) as scene:
        await scene.until_state(State.READY)
        assert (await scene.status())["disk_problem"] is None
        pid = scene.supervisor.status.pid
        disk.hang()
        scene.stop_core()
        scene.ask_engine()
        await scene.until_state(State.STALLED)
        await scene.until("the kill", lambda: scene.supervisor.status.pid != pid)
        await scene.until("a wait", lambda: "answers" in (scene.supervisor.status.problem or ""))
        known = scene.daemon._runtime.filesystems.silent_since
        await scene.until("both silent", lambda: None not in known().values())
        text = await scene.page("/metrics")
        silent = [line for line in text.splitlines() if "filesystem_silent_seconds{" in line]
        assert len(silent) == 2
        assert "vllmd_filesystem_size_bytes{" in text, "as it was seen last"
        problem = (await scene.status())["disk_problem"]
        assert f"log_dir ({folder}/log) does not answer since" in problem
        assert f"state_dir ({folder}/state) does not answer since" in problem
        disk.answer()
        await scene.until_state(State.READY)
        scene.supervisor.stop()
        await scene.until_state(State.STOPPED)


async def test_daemon_that_starts_while_its_disks_hang_looks_after_the_engine_that_serves(
    tmp_path: Path, place: tuple[HungDisk, Path]
) -> None:
    disk, folder = place
    async with running(tmp_path, folder, leave=True) as scene:
        await scene.until_state(State.READY)
        pid = scene.supervisor.status.pid
    disk.hang()
    async with running(tmp_path, folder) as scene:
        await scene.until_state(State.READY)
        assert scene.supervisor.status.pid == pid
        assert (await scene.status())["disk_problem"]
        disk.answer()
        scene.supervisor.stop()
        await scene.until_state(State.STOPPED)
    assert disk.on_loop == {}
