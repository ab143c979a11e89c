import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vllmd.shim.__main__ as shim_program
from tests.helpers.make import spec
from vllmd.engine.process import spawner as spawner_module
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.process.spawner import DirectSpawner, SocketSpawner, send_spec
from vllmd.errors import ShimError
from vllmd.shim import protocol


async def test_spawn_returns_when_the_shim_listens(tmp_path: Path) -> None:
    spawner = DirectSpawner()
    await spawner.spawn(spec(tmp_path, ["/bin/sleep", "60"]))
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    await client.stop(5)
    record = await asyncio.wait_for(client.exited, 20)
    assert record is not None
    assert record["requested"]


async def test_spawn_reports_the_shims_own_words(tmp_path: Path) -> None:
    with pytest.raises(ShimError, match=r"No such file or directory: /no/such/vllm"):
        await DirectSpawner().spawn(spec(tmp_path, ["/no/such/vllm"]))


async def test_spawn_directory_that_is_not_there_raises(tmp_path: Path) -> None:
    with pytest.raises(ShimError, match="cannot start a shim"):
        await DirectSpawner().spawn(spec(tmp_path / "none", ["/bin/true"]))


async def test_reap_collects_ended_shims(tmp_path: Path) -> None:
    spawner = DirectSpawner()
    await spawner.spawn(spec(tmp_path, ["/bin/true"]))
    for _ in range(200):
        spawner.reap()
        if not spawner._children:
            break
        await asyncio.sleep(0.02)
    assert spawner._children == []


async def test_spawn_through_a_socket_as_systemd_accepts_it(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "spawn.sock"))
    listener.listen()

    def accept() -> subprocess.Popen[bytes]:
        connection, _ = listener.accept()
        command = [sys.executable, "-I", "-S", str(shim_program.__file__)]
        with connection:
            return subprocess.Popen(command, stdin=connection.fileno())

    accepting = asyncio.create_task(asyncio.to_thread(accept))
    await SocketSpawner(tmp_path / "spawn.sock").spawn(spec(tmp_path, ["/bin/sleep", "60"]))
    client = await ShimClient.connect(tmp_path)
    assert client is not None
    assert client.run["shim_pid"] == (await accepting).pid
    await client.stop(5)
    assert await asyncio.wait_for(client.exited, 20)
    (await accepting).wait(20)
    listener.close()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[socket.socket]:
    """Listen with a queue that has no room, as systemd's is when it does not accept."""
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(str(tmp_path / "spawn.sock"))
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                other = waiting.enter_context(socket.socket(socket.AF_UNIX))
                other.setblocking(False)
                other.connect(str(tmp_path / "spawn.sock"))
        yield listener


async def test_spawn_through_a_socket_that_has_no_room_yet_holds_up_nobody(
    tmp_path: Path, full: socket.socket
) -> None:
    others_run = threading.Event()

    def accept() -> bool:
        in_time = others_run.wait(5)
        full.accept()[0].close()
        connection, _ = full.accept()
        with connection, connection.makefile("rb") as said:
            said.readline()
            connection.sendall(protocol.encode({"protocol": 1, "engine_pid": 8}))
        return in_time

    with ThreadPoolExecutor() as threads:
        accepting = threads.submit(accept)
        spawner = SocketSpawner(tmp_path / "spawn.sock")
        spawning = asyncio.create_task(spawner.spawn(spec(tmp_path, ["x"])))
        await asyncio.sleep(0.01)
        others_run.set()
        await spawning
        assert accepting.result()


async def test_spawn_through_a_socket_that_never_has_room_raises(
    tmp_path: Path, full: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawner_module, "REPORT_TIMEOUT_S", 0.3)
    with pytest.raises(ShimError, match=r"accepted nothing within 0\.3 s; look at 'systemctl"):
        await SocketSpawner(tmp_path / "spawn.sock").spawn(spec(tmp_path, ["x"]))


async def test_spawn_through_a_socket_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ShimError, match=r"systemctl status vllmd-engine\.socket"):
        await SocketSpawner(tmp_path / "none").spawn(spec(tmp_path, ["/bin/true"]))


async def test_spawn_with_a_fifo_in_the_place_of_the_shims_messages_is_refused(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "shim.err")
    with pytest.raises(ShimError, match="it is a FIFO, not a regular file"):
        await DirectSpawner().spawn(spec(tmp_path, ["/bin/true"]))


async def test_send_spec_takes_a_report_that_came_while_the_host_stood_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine runs: it would be taken for one that could not be started."""
    monkeypatch.setattr(spawner_module, "REPORT_TIMEOUT_S", 0.2)
    ours, theirs = socket.socketpair()
    with theirs:
        sending = asyncio.create_task(send_spec(ours, spec(tmp_path, ["x"])))
        await asyncio.sleep(0.05)
        theirs.sendall(protocol.encode({"protocol": 1, "pid": 7, "engine_pid": 8}))
        time.sleep(0.5)  # noqa: ASYNC251 - the host stands still
        await sending


async def test_send_spec_to_a_shim_that_says_nothing_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawner_module, "REPORT_TIMEOUT_S", 0.05)
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(ShimError, match=r"no report: .*nothing came within 0.05 s"):
        await send_spec(ours, spec(tmp_path, ["x"]))
