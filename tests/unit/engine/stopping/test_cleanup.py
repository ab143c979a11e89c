import asyncio
import errno
import functools
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.host import Host
from tests.helpers.ports import free_port
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.stopping import cleanup
from vllmd.engine.stopping.cleanup import LIMIT_S, CleanupResult, clean_up, remove_shared
from vllmd.shim import proc


async def proven(port: int, tmp_path: Path, clock: FakeClock, **more: object) -> CleanupResult:
    holders = more.get("holders", EngineGpus().holders)
    task = asyncio.create_task(
        clean_up(
            "127.0.0.1",
            port,
            since=time.time(),
            ipc=tmp_path / "ipc",
            shared_memory=tmp_path / "shm",
            clock=clock,
            holders=holders,  # type: ignore[arg-type]
            notice=more.get("notice", lambda _: None),  # type: ignore[arg-type]
        )
    )
    for _ in range(200):
        await clock.advance(0.2)
        if task.done():
            break
    return task.result()


async def cleaned(
    folder: Path, host: str = "127.0.0.1", port: int | None = None, *, ipc: str = "ipc"
) -> CleanupResult:
    """Clean up after a run that began now, of which nothing is in the way."""
    return await clean_up(
        host,
        free_port() if port is None else port,
        since=time.time(),
        ipc=folder / ipc,
        shared_memory=folder / "shm",
        clock=FakeClock(),
        holders=EngineGpus().holders,
    )


async def test_clean_up_nothing_in_the_way_takes_no_time(tmp_path: Path) -> None:
    assert await cleaned(tmp_path) == CleanupResult()


@pytest.mark.parametrize(("host", "aside"), [("gpu1.example", True), ("::1", False)])
async def test_clean_up_a_name_server_that_hangs_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, aside: bool
) -> None:
    threads: list[threading.Thread] = []

    def look(*_: object) -> bool:
        threads.append(threading.current_thread())
        return True

    monkeypatch.setattr(cleanup, "port_free", look)
    await cleaned(tmp_path, host, 8000)
    assert [each is not threading.main_thread() for each in threads] == [aside]


async def test_clean_up_names_who_has_the_port(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        found = await proven(port, tmp_path, FakeClock())
    (named,) = found.in_the_way
    assert named.startswith(f"port {port} is in use by ")
    assert f"(pid {os.getpid()})" in named
    assert found.after_s == pytest.approx(LIMIT_S)


async def test_clean_up_tells_who_has_the_port_long_before_it_gives_up(tmp_path: Path) -> None:
    port, clock = free_port(), FakeClock()
    told: list[tuple[str, float]] = []
    began = clock.monotonic()

    def notice(text: str) -> None:
        told.append((text, clock.monotonic() - began))

    with socket.create_server(("127.0.0.1", port)):
        found = await proven(port, tmp_path, clock, notice=notice)
    assert [text for text, _ in told] == list(found.in_the_way)
    assert told[0][1] < LIMIT_S / 2


async def test_clean_up_waits_until_gpu_memory_is_back(tmp_path: Path) -> None:
    clock = FakeClock()

    async def holders() -> list[str]:
        return ["VLLM::EngineCore (pid 9) holds 60 GiB of GPU 0"] if clock.now < 1002 else []

    found = await proven(free_port(), tmp_path, clock, holders=holders)
    assert found.in_the_way == ()
    assert found.after_s == pytest.approx(2)


async def test_clean_up_foreign_holder_of_gpu_memory_is_named(tmp_path: Path) -> None:
    async def holders() -> list[str]:
        return ["python (pid 9)"]

    found = await proven(free_port(), tmp_path, FakeClock(), holders=holders)
    assert found.in_the_way == ("python (pid 9)",)


async def test_clean_up_removes_the_sockets_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "ipc").mkdir()
    (tmp_path / "ipc" / "7f1c").write_text("")
    found = await proven(free_port(), tmp_path, FakeClock())
    assert found.removed == (str(tmp_path / "ipc" / "7f1c"),)
    assert list((tmp_path / "ipc").iterdir()) == []


async def test_clean_up_removes_shared_memory_of_its_folder_that_is_in_use_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "POLL_S", 0.0)
    (tmp_path / "shm").mkdir()
    left, used = shared(tmp_path / "shm", "psm_left"), shared(tmp_path / "shm", "psm_used")
    for path in (left, used):
        os.utime(path, (time.time() + 60, time.time() + 60))
    with used.open("rb"):
        found = await cleaned(tmp_path)
    assert found.removed == (str(left),)
    assert used.exists()


@pytest.mark.parametrize(
    ("ipc", "pid", "hidden"),
    [
        (cleanup.HOST_IPC_NAMESPACE, proc.HOST_NAMESPACE, False),  # a host
        ("ipc:[4026532200]", "pid:[4026532201]", False),  # a container
        (cleanup.HOST_IPC_NAMESPACE, "pid:[4026532201]", True),  # one with --ipc=host
        (None, None, True),
    ],
)
async def test_clean_up_leaves_shared_memory_that_others_may_use_who_cannot_be_seen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ipc: str | None,
    pid: str | None,
    hidden: bool,
) -> None:
    (tmp_path / "shm").mkdir()
    left = shared(tmp_path / "shm", "psm_left")
    os.utime(left, (time.time() + 60, time.time() + 60))
    for name, space in (("ipc", ipc), ("pid", pid)):
        if space is not None:
            (tmp_path / name).symlink_to(space)
    hidden_here = functools.partial(cleanup._others_are_hidden, str(tmp_path))
    monkeypatch.setattr(cleanup, "_others_are_hidden", hidden_here)
    # a folder of its own: the run's sockets would be in `ipc`
    found = await cleaned(tmp_path, ipc="sockets")
    assert (found.removed == ()) is hidden
    assert left.exists() is hidden


def shared(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"\0" * mmap.PAGESIZE)
    return path


def test_remove_shared_takes_what_nobody_uses(tmp_path: Path) -> None:
    since = time.time() - 1
    left = [shared(tmp_path, name) for name in ("psm_0a1b", "sem.mp-x_y", "nccl-abc", "torch_1")]
    foreign = shared(tmp_path, "postgres.1234")
    assert sorted(remove_shared(since, tmp_path)) == sorted(str(path) for path in left)
    assert foreign.exists()


def test_remove_shared_leaves_what_is_mapped_or_open(tmp_path: Path) -> None:
    mapped, opened = shared(tmp_path, "psm_mapped"), shared(tmp_path, "psm_open")
    with mapped.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    with opened.open("rb"):
        assert list(remove_shared(0, tmp_path)) == []
    assert list(remove_shared(0, tmp_path)) == [str(opened)]
    memory.close()
    assert list(remove_shared(0, tmp_path)) == [str(mapped)]


def test_remove_shared_leaves_all_while_processes_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shared(tmp_path, "psm_used")

    def no_descriptor() -> Iterator[proc.Stat]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        yield

    monkeypatch.setattr(cleanup, "all_processes", no_descriptor)
    assert list(remove_shared(0, tmp_path)) == []
    assert path.exists()


def test_remove_shared_leaves_what_is_older_than_the_run(tmp_path: Path) -> None:
    old = shared(tmp_path, "psm_old")
    os.utime(old, (1, 1))
    assert list(remove_shared(time.time() - 60, tmp_path)) == []
    assert old.exists()


MAKES = {
    "memory": "memory = shared_memory.SharedMemory(create=True, size=64); name = memory.name",
    "semaphore": "lock = get_context('spawn').Lock(); name = 'sem.' + lock._semlock.name[1:]",
}
"""A semaphore is mapped under another name than the one it is known by: glibc links it."""


@pytest.mark.parametrize("kind", MAKES)
def test_remove_shared_takes_what_a_killed_python_left_and_not_before(
    kind: str, monkeypatch: pytest.MonkeyPatch, host: Host
) -> None:
    since = time.time() - 1
    script = f"""
import time
from multiprocessing import get_context, shared_memory
{MAKES[kind]}
print(name, flush=True)
time.sleep(60)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    folder = Path("/dev/shm")  # where Python has it
    path = folder / child.stdout.readline().decode().strip()
    host.allow(path)
    monkeypatch.setattr(cleanup, "_shared", lambda _: [path])  # and nothing else of this host's
    assert path.name.startswith(cleanup.SHARED_PREFIXES)
    assert path.exists()
    assert str(path) not in list(remove_shared(since, folder))
    assert path.exists()
    members = proc.session_members(child.pid)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # or its resource tracker removes the file
        for member in members:
            os.kill(member.pid, number)
    child.wait()
    child.stdout.close()
    assert str(path) in list(remove_shared(since, folder))
    assert not path.exists()


def test_remove_shared_leaves_what_another_user_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, mine = shared(tmp_path, "psm_theirs"), shared(tmp_path, "psm_mine")
    real = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        found = real(path)
        owned = list(found)
        owned[4] += path.name == "psm_theirs"
        return os.stat_result(owned)

    monkeypatch.setattr(Path, "lstat", lstat)
    assert list(remove_shared(0, tmp_path)) == [str(mine)]
    assert theirs.exists()


def test_remove_shared_process_that_cannot_be_looked_into_forbids_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = shared(tmp_path, "psm_x")
    monkeypatch.setattr(cleanup, "_used", lambda _: None)
    assert list(remove_shared(0, tmp_path)) == []
    assert left.exists()


def test_remove_shared_does_not_look_into_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container it may be of the same user, and may not be looked into."""

    def refuse(folder: Path, _: str) -> Iterator[tuple[int, int]]:
        if str(folder) == "/proc/1/fd":
            raise PermissionError(folder)
        return iter(())

    monkeypatch.setattr(cleanup, "_opened", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: os.stat("/proc/1").st_uid)
    monkeypatch.setattr(cleanup, "all_processes", lambda: [SimpleNamespace(pid=1)])
    shared(tmp_path, "psm_x")
    assert cleanup._used(tmp_path) == set()


def test_ours_what_is_gone_meanwhile_is_nobodys(tmp_path: Path) -> None:
    assert cleanup._ours(tmp_path / "gone", 0) is None
