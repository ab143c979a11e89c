import asyncio
import errno
import signal
import time
from pathlib import Path

import pytest

from tests.helpers.make import spec
from tests.helpers.scene import Scene, running
from tests.helpers.shims import FakeShim
from vllmd.engine.exits import Exit
from vllmd.engine.process import orphans
from vllmd.engine.process.shim_client import ShimClient
from vllmd.engine.runs import Runs
from vllmd.engine.state_machine import State
from vllmd.errors import ShimError
from vllmd.http.probes import ready
from vllmd.shim.protocol import RunRecord
from vllmd.shim.record import read_record
from vllmd.util.disk_thread import DiskThread, Work


class Gate:
    """Holds up who passes it until it is opened."""

    def __init__(self) -> None:
        self._came, self._opened = asyncio.Event(), asyncio.Event()

    async def passes(self) -> None:
        self._came.set()
        await self._opened.wait()

    async def is_red_until_opened(self, scene: Scene) -> None:
        """Wait until somebody is held up; the engine takes no requests meanwhile."""
        await asyncio.wait_for(self._came.wait(), 5)
        assert not scene.supervisor.status.up
        assert ready([scene.supervisor.status]).status_code == 503
        self._opened.set()


@pytest.fixture
def gate_of_kill(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """What a run left is ended once this is opened."""
    gate = Gate()

    async def slow(run: RunRecord) -> list[str]:
        await gate.passes()
        return []

    monkeypatch.setattr(orphans, "kill", slow)
    return gate


async def test_run_exit_at_the_moment_of_close_waits_for_no_pause(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(1)
        scene.supervisor.close()
        assert scene.task is not None
        await asyncio.wait_for(scene.task, 5)
        assert dict(scene.supervisor.status.exits) == {("1", False): 1}


async def test_stop_shim_that_does_not_obey_is_killed_and_its_engine_ended(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        shim = scene.spawner.last
        shim.exits_when_stopped = False
        scene.supervisor.stop()
        await scene.until(lambda: bool(shim.stops))
        await scene.passes(10, 1)
        assert shim.process.poll() is None
        await scene.passes(20, 1)  # what it may take, and the margin
        assert shim.process.wait(5) == -signal.SIGKILL
        shim.vanish()
        await scene.until_state(State.STOPPED)
        assert dict(scene.supervisor.status.exits) == {("shim_lost", True): 1}


@pytest.mark.parametrize("wish", ["stop", "close", "restart"])
async def test_wish_to_end_beside_a_shim_that_never_answers_ends_it_by_a_signal(
    tmp_path: Path, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    scene.directory.mkdir(parents=True)
    shim = FakeShim(spec(scene.directory, ["x"], command_hash=scene.command.hash))
    await shim.listen()
    connect = Runs.connect

    async def connected(runs: Runs) -> ShimClient | None:
        if shim.is_listening:
            raise ShimError("shim does not answer: TimeoutError()")
        return await connect(runs)

    monkeypatch.setattr(Runs, "connect", connected)
    async with running(scene):
        await scene.passes(100, 5)
        assert shim.process.poll() is None  # however long it is silent
        assert "does not answer" in str(scene.supervisor.status.problem)
        getattr(scene.supervisor, wish)()
        await scene.until(lambda: shim.process.poll() is not None)
        assert shim.process.returncode == -signal.SIGTERM
        await shim.end(0, requested=True)
        await scene.passes_until(lambda: bool(scene.supervisor.status.exits))
        await scene.until_state(State.READY if wish == "restart" else State.STOPPED)
        assert len(scene.spawner.shims) == (wish == "restart")
        assert dict(scene.supervisor.status.exits) == {("0", True): 1}
        if wish == "close":
            assert scene.task is not None
            await asyncio.wait_for(scene.task, 5)


@pytest.mark.parametrize("saved", [True, False], ids=["died before it forgot", "or before that"])
async def test_run_daemon_that_dies_while_it_notes_an_end_counts_it_once(
    tmp_path: Path, saved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_: Runs) -> None:
        raise ZeroDivisionError

    first = Scene(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Runs, "forget", dies)
        async with running(first):
            await first.until_state(State.READY)
            await first.spawner.last.end(1)
            await first.until(lambda: bool(first.task and first.task.done()))
    if not saved:
        (tmp_path / "state" / "engines" / "chat.json").unlink()
    second = Scene(tmp_path)
    async with running(second):
        await second.until_state(State.READY)
        status = second.supervisor.status
        assert (dict(status.exits), dict(status.causes)) == ({("1", False): 1}, {"unknown": 1})
        assert status.restarts == 1
        assert status.last_exit is not None
        assert status.last_exit.incident is not None
        incidents = list((tmp_path / "state" / "incidents").iterdir())
        assert len(incidents) == 1


async def test_run_that_has_ended_is_red_while_it_is_looked_into_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy host that takes seconds, in which a balancer was told that it serves."""
    explain, gate = Runs.explain, Gate()

    async def slow(runs: Runs, ended: Exit, run: RunRecord | None) -> tuple[Exit, list[str]]:
        await gate.passes()
        return await explain(runs, ended, run)

    monkeypatch.setattr(Runs, "explain", slow)
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        assert scene.supervisor.status.up
        await scene.spawner.last.end(1)
        await gate.is_red_until_opened(scene)
        await scene.until_state(State.BACKOFF)
        assert not scene.supervisor.status.is_over


async def test_run_whose_shim_was_killed_is_red_while_what_it_left_is_ended(
    tmp_path: Path, gate_of_kill: Gate
) -> None:
    """A process that cannot be killed keeps it there until a reboot."""
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        shim = scene.spawner.last
        shim.process.kill()
        shim.process.wait(5)
        shim.vanish()
        await gate_of_kill.is_red_until_opened(scene)
        await scene.until_state(State.BACKOFF)
        assert dict(scene.supervisor.status.exits) == {("shim_lost", False): 1}


async def test_run_found_without_its_shim_is_not_ready_while_what_it_left_is_ended(
    tmp_path: Path, gate_of_kill: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection ended, the shim still seemed to live, and then it was gone."""

    async def lives(*_: object) -> bool:
        return True

    monkeypatch.setattr(Runs, "lives_on", lives)
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.spawner.last.vanish()
        await gate_of_kill.is_red_until_opened(scene)
        await scene.until(lambda: scene.supervisor.status.up)
        assert len(scene.spawner.shims) == 2


async def test_run_is_started_again_where_no_thread_is_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has a limit of processes, and a vLLM has hundreds of threads."""
    (tmp_path / "chat.log").write_text("")
    thread = DiskThread()
    async with running(Scene(tmp_path, on_disk=thread.do)) as scene:
        await scene.until_state(State.READY)

        async def no_thread(*_: object, **__: object) -> None:
            raise OSError(errno.EAGAIN, "no thread is to be had")

        monkeypatch.setattr(asyncio, "to_thread", no_thread)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        assert dict(scene.supervisor.status.exits) == {("1", False): 1}
        await scene.passes_until(lambda: scene.state is State.READY)
        assert len(scene.spawner.shims) == 2
    thread.close()


async def test_run_end_is_on_the_disk_before_its_run_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_forget: list[object] = []
    forget = Runs.forget

    def look(runs: Runs) -> None:
        record = read_record(str(tmp_path / "state" / "engines" / "chat.json"))
        at_forget.append(record and record["exits"])
        forget(runs)

    monkeypatch.setattr(Runs, "forget", look)
    disk = DiskThread()

    def slowly(work: Work, key: str | None = None) -> None:
        disk.do(lambda: time.sleep(0.01))
        disk.do(work, key)

    scene = Scene(tmp_path, on_disk=slowly)
    async with running(scene):
        await scene.until_state(State.READY)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
    assert disk.close()
    assert at_forget == [[["1", False, 1]]]
    assert not (scene.directory / "run.json").exists()
