import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.helpers.ports import free_port
from vllmd.engine.exits import Exit, explain
from vllmd.shim import proc

pytestmark = pytest.mark.long  # each test is a process, and the core that it starts

ENV = {
    **os.environ,
    "VLLMD_STAND_IN_LOAD_S": "0.1",
    "VLLMD_STAND_IN_STEP_S": "0.01",
    "VLLMD_STAND_IN_DEATH_S": "0.1",
}


def start(port: int, env: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vllmd.demo", "serve", "m", "--port", str(port)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, start_new_session=True)


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    port = free_port()
    process = start(port, ENV)
    for _ in range(400):
        try:
            with urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
        except URLError:
            time.sleep(0.05)
    else:
        pytest.fail("the stand-in never answered")
    yield process
    for stat in proc.session_members(process.pid):
        os.kill(stat.pid, signal.SIGKILL)
    process.wait()


def cause_of(printed: bytes, label: str) -> str:
    """Return what `vllmd why` would name."""
    end = Exit(label, requested=False, at=0.0, run_id="r")
    found = explain(end, printed.decode().splitlines()).diagnosis
    assert found is not None
    return found.cause


def core_of(process: subprocess.Popen[bytes]) -> int:
    (core,) = proc.descendants(process.pid)
    assert proc.command_line(core.pid) == "VLLM::EngineCore"
    return core.pid


def test_server_exits_0_when_its_core_dies(server: subprocess.Popen[bytes]) -> None:
    os.kill(core_of(server), signal.SIGKILL)
    assert server.wait(20) == 0
    assert server.stderr is not None
    assert b"EngineDeadError" in server.stderr.read()


def test_server_killed_leaves_its_core_behind(server: subprocess.Popen[bytes]) -> None:
    core = core_of(server)
    server.kill()
    server.wait()
    time.sleep(0.3)
    stat = proc.read_stat(core)
    assert stat is not None
    assert not stat.is_zombie


def test_server_sigterm_ends_all_with_0(server: subprocess.Popen[bytes]) -> None:
    core = core_of(server)
    server.terminate()
    assert server.wait(20) == 0
    stat = proc.read_stat(core)
    assert stat is None or stat.is_zombie
    assert server.stderr is not None
    assert cause_of(server.stderr.read(), "0") == "killed"


def test_server_port_in_use_ends_with_1_before_loading() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = start(other.getsockname()[1], ENV)
        assert process.wait(20) == 1
    assert process.stderr is not None
    assert b"[Errno 98] Address already in use" in process.stderr.read()


def test_server_sigterm_while_loading_ends_with_130() -> None:
    process = start(free_port(), {**ENV, "VLLMD_STAND_IN_LOAD_S": "60"})
    assert process.stderr is not None
    while b"Initializing" not in process.stderr.readline():
        pass
    process.terminate()
    assert process.wait(20) == 130
    assert cause_of(process.stderr.read(), "130") == "killed"
    assert proc.session_members(process.pid) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_server_whose_core_dies_while_loading_says_how_as_vllm_does(number: int) -> None:
    process = start(free_port(), {**ENV, "VLLMD_STAND_IN_LOAD_S": "60"})
    assert process.stderr is not None
    while b"Initializing" not in process.stderr.readline():
        pass
    os.kill(core_of(process), number)
    assert process.wait(20) == 1
    crashed = number == signal.SIGSEGV
    wanted = "crashed" if crashed else "engine_core_died"
    assert cause_of(process.stderr.read(), "1") == wanted
