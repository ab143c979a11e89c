import asyncio
import errno
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import engine, spec
from tests.helpers.shims import FakeShim, FakeSpawner
from vllmd.config import command, paths
from vllmd.engine import disk_space, exits
from vllmd.engine.context import EngineContext
from vllmd.engine.engine_state import EngineState
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.output.engine_output import EngineOutput
from vllmd.engine.output.first_errors import FirstErrors
from vllmd.engine.output.run_output import LAST_BYTES
from vllmd.engine.process import lost_shim, orphans
from vllmd.engine.process.run_state import Endpoint, Run
from vllmd.engine.restart.load_slots import LoadSlots
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.runs import MAX_RPC_BASE, RETRY_S, RPC_BASE_PATH, Runs
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.errors import ShimError
from vllmd.shim.protocol import ROTATION, RunRecord
from vllmd.util.units import MIB

UP = "INFO:     Application startup complete."
CORE = "(EngineCore pid=7) ERROR 11-23 19:09:22 [core.py:1] "


def made(folder: Path, text: str = "", **more: Any) -> tuple[Runs, EngineState, FakeSpawner]:
    clock, spawner = FakeClock(), FakeSpawner()
    engine_state = EngineState("chat", clock, RestartStateFile(folder / "chat.json"))
    config = attrs.evolve(engine(text), **more)
    context = EngineContext(
        directory=folder / "c",
        log_path=folder / "chat.log",
        state_dir=folder,
        spawner=spawner,
        stopped=StoppedEngines(folder / "stopped.json", "boot"),
        load_slots=LoadSlots(),
        clock=clock,
        poll_s=5.0,
        chance=lambda: 0.0,
        secrets=("my-token",),
    )
    runs = Runs(config, command.build(config), engine_state, context)
    return runs, engine_state, spawner


async def test_spawn_gives_the_shim_time_for_drain_and_end(tmp_path: Path) -> None:
    runs, _, spawner = made(tmp_path, "drain_s = 40\nstop_grace_s = 9")
    client = await runs.spawn("r")
    assert client is not None
    assert spawner.last.spec["stop_grace_s"] == 49
    assert "--shutdown-timeout 40" in " ".join(spawner.last.spec["argv"])
    client.close()
    spawner.last.vanish()


async def test_spawn_sockets_of_vllm_go_where_they_can_be_removed(tmp_path: Path) -> None:
    runs, _, spawner = made(tmp_path)
    assert len(str(runs.ipc)) <= MAX_RPC_BASE
    client = await runs.spawn("r")
    assert client is not None
    assert spawner.last.spec["env"][RPC_BASE_PATH] == str(runs.ipc)
    assert runs.ipc.is_dir()
    client.close()
    spawner.last.vanish()
    deep, _, other = made(tmp_path / ("d" * 60))
    with pytest.raises(OSError, match="AF_UNIX path too long"):
        await deep.spawn("r")  # nor would the shim's socket fit; the variable is not set
    assert other.shims == []


async def test_spawn_on_a_full_disk_says_which_and_how_full_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        disk_space, "look", lambda folder: disk_space.FreeSpace(str(folder), 0, 8 * MIB, 3, 2048)
    )
    runs, _, spawner = made(tmp_path)
    spawner.error = f"shim of engine chat: No space left on device: {runs.directory}"
    with pytest.raises(ShimError, match=r"/c has 0 B of 8\.0 MiB and 3 of 2,048 files") as raised:
        await runs.spawn("r")
    ended = exits.explain(runs.not_spawned("r", str(raised.value)), ())
    assert ended.diagnosis is not None
    assert ended.diagnosis.cause == "disk_full"
    spawner.error = "something else"
    with pytest.raises(ShimError, match=r"^something else$"):
        await runs.spawn("r")


def run_of(runs: Runs, log: Path) -> RunRecord:
    values: dict[str, Any] = {"run_id": "r", "log": str(log), "log_number": 1, "log_offset": 4}
    record: RunRecord = {**values, "started_at": 1.0}  # type: ignore[typeddict-item]
    return record


@pytest.mark.long
async def test_explain_has_the_errors_read_up_to_the_end_and_tells_each_once(
    tmp_path: Path,
) -> None:
    """The last look at the log is up to two seconds ago, and a flood has come since."""
    runs, engine_state, _ = made(tmp_path)
    log, errors = tmp_path / "chat.log", FirstErrors()
    output = EngineOutput("chat", log, tmp_path, tmp_path / "memory.json", ROTATION, errors)
    context = attrs.evolve(runs._context, errors=errors, look=output.look)
    runs = Runs(runs._engine, runs._command, engine_state, context)
    fatal = f"{CORE}EngineCore encountered a fatal error."
    shown = f"{CORE}torch.OutOfMemoryError: CUDA out of memory."
    flood = "(APIServer pid=1) ERROR 11-23 19:09:23 [a.py:4] EngineDeadError: see above\n"
    log.write_text(f"old\n{UP}\n{fatal}\n{shown}\n" + flood * (LAST_BYTES // len(flood) + 99))
    ended, printed = await runs.explain(
        exits.Exit("0", requested=False, at=1.0, run_id="r"), run_of(runs, log)
    )
    assert ended.diagnosis is not None
    assert ended.diagnosis.cause == "cuda_out_of_memory"
    assert (printed[:3], printed.count(shown)) == ([UP, fatal, shown], 1)
    output.close()


@pytest.mark.parametrize(("served", "kind"), [(True, "transient"), (False, "configuration")])
async def test_explain_goes_by_whether_the_run_is_known_to_have_served(
    tmp_path: Path, served: bool, kind: str
) -> None:
    runs, engine_state, _ = made(tmp_path)
    engine_state.spawned(Run("r", "hash", Endpoint("127.0.0.1", 8000, "m")), seen=True)
    for event in (Trigger.START, Trigger.SPAWNED):
        engine_state.to(event)
    if served:
        engine_state.ready()
    log = tmp_path / "chat.log"
    loaded = CORE.replace("ERROR", "INFO") + "Model loading took 9 GiB and 3 seconds"
    failed = f"{CORE}EngineCore hit an exception\n{CORE}OutOfMemoryError: CUDA out of memory."
    log.write_text(f"old\n{loaded}\n{failed}\n")
    ended, _ = await runs.explain(
        exits.Exit("0", requested=False, at=1.0, run_id="r"), run_of(runs, log)
    )
    assert ended.diagnosis is not None
    assert (ended.diagnosis.cause, ended.diagnosis.kind) == ("cuda_out_of_memory", kind)


async def test_explain_reads_the_output_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, _, _ = made(tmp_path)
    threads: list[threading.Thread] = []

    def noted(ended: exits.Exit, printed: Iterable[str], *, served: bool) -> exits.Exit:
        threads.append(threading.current_thread())
        return ended

    monkeypatch.setattr(exits, "explain", noted)
    await runs.explain(exits.Exit("0", requested=False, at=1.0, run_id="r"), None)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_lost_while_stopping_was_asked_for(tmp_path: Path) -> None:
    runs, engine_state, _ = made(tmp_path)
    assert not runs.lost("r", []).requested
    for event in (Trigger.START, Trigger.SPAWNED, Trigger.STOP):
        engine_state.to(event)
    assert engine_state.state is State.STOPPING
    assert runs.lost("r", []).requested


def test_record_forget_and_last_end_of_nothing(tmp_path: Path) -> None:
    runs, _, _ = made(tmp_path)
    assert runs.record() is None
    assert runs.last_end() is None
    runs.forget()


class HungDisks:
    """Disks that do not answer, by what is asked of them."""

    def __init__(self, *paths: str) -> None:
        self.hung = list(paths)
        self.asked: list[str] = []

    async def __call__(self, path: str, work: Callable[[], Any], limit_s: float = 5.0, /) -> Any:
        self.asked.append(path)
        if path in self.hung:
            raise TimeoutError(errno.ETIMEDOUT, "no answer", path)
        return work()


async def test_wait_for_disks_waits_for_each_that_hangs_with_a_sentence(tmp_path: Path) -> None:
    model, program = f"{tmp_path}/model", f"{tmp_path}/venv/bin/vllm"
    runs, _, _ = made(tmp_path, f'executable = "{program}"', model=model)
    disks = HungDisks(str(tmp_path), program, model)
    runs._context = attrs.evolve(runs._context, within=disks)
    clock = runs._context.clock
    said: list[str] = []
    waiting = asyncio.create_task(
        runs.wait_for_disks(OperatorRequests(), lambda: True, said.append)
    )
    while disks.hung:
        while len(said) < 4 - len(disks.hung):
            await clock.advance(1)  # type: ignore[attr-defined]
        disks.hung.pop(0)
    while not waiting.done():
        await clock.advance(1)  # type: ignore[attr-defined]
    assert list(dict.fromkeys(said)) == [
        f"waits until log_dir ({tmp_path}) answers: its file system hangs",
        f"waits until its program ({program}) answers: its file system hangs",
        f"waits until its model ({model}) answers: its file system hangs",
    ]


async def test_wait_for_disks_ends_when_no_start_is_wanted(tmp_path: Path) -> None:
    runs, _, _ = made(tmp_path)
    disks = HungDisks(str(tmp_path))
    runs._context = attrs.evolve(runs._context, within=disks)
    wanted = iter([True, False])
    requests = OperatorRequests()

    def say(_: str) -> None:
        requests.add()

    await runs.wait_for_disks(requests, lambda: next(wanted), say)
    assert disks.asked == [str(tmp_path)]


async def test_spawn_asks_all_disks_with_a_limit(tmp_path: Path) -> None:
    runs, _, spawner = made(tmp_path)
    disks = HungDisks(str(tmp_path / "chat.log"))
    runs._context = attrs.evolve(runs._context, within=disks)
    with pytest.raises(TimeoutError):
        await runs.spawn("r")
    assert disks.asked == [str(runs.ipc), str(tmp_path / "chat.log")]
    assert spawner.shims == []


class LostShim:
    """A shim whose socket was removed, as `runs` looks for it and asks it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pid: int | None = 7
        self.asked: list[str] = []
        monkeypatch.setattr(lost_shim, "find", lambda _: self.pid)
        monkeypatch.setattr(lost_shim, "ask_back", lambda pid: self.asked.append(f"back {pid}"))
        monkeypatch.setattr(lost_shim, "ask_end", lambda pid: self.asked.append(f"end {pid}"))


async def test_find_shim_that_puts_its_folder_back_is_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, engine_state, spawner = made(tmp_path)
    clock, lost = runs._context.clock, LostShim(monkeypatch)
    assert isinstance(clock, FakeClock)
    finding = asyncio.create_task(
        runs.find(OperatorRequests(), ending=lambda: False, closing=lambda: False)
    )
    await clock.advance(1)
    assert not finding.done()
    assert lost.asked == ["back 7"]
    put_back = await runs.spawn("r")
    assert put_back is not None
    while not finding.done():
        await clock.advance(0.1)
    client, ended = await finding
    assert client is not None
    assert (client.run["run_id"], ended, engine_state.problem) == ("r", None, None)
    for each in (client, put_back):
        each.close()
    spawner.last.vanish()


async def test_find_shim_that_cannot_put_its_folder_back_is_named_and_no_second_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, engine_state, _ = made(tmp_path)
    clock, lost, ending = runs._context.clock, LostShim(monkeypatch), [False]
    assert isinstance(clock, FakeClock)
    requests = OperatorRequests()
    finding = asyncio.create_task(
        runs.find(requests, ending=lambda: ending[0], closing=lambda: ending[0])
    )
    for _ in range(10):
        await clock.advance(60)
    assert not finding.done()
    assert "pid 7" in str(engine_state.problem)
    assert "'kill 7' ends it" in str(engine_state.problem)
    assert set(lost.asked) == {"back 7"}
    ending[0] = True
    requests.add()
    await clock.advance(10)
    assert "end 7" in lost.asked
    assert not finding.done()
    lost.pid = None
    await clock.advance(10)
    assert await finding == (None, None)


async def test_api_keys_are_in_a_file_for_this_user_while_there_are_several(
    tmp_path: Path,
) -> None:
    (tmp_path / "run" / "engines").mkdir(parents=True)
    runs, _, _ = made(tmp_path / "run" / "engines")
    path = paths.api_keys(tmp_path / "run", "chat")
    file = command.KeyFile(path, '{"api-key": ["k-1", "k-2"]}')
    runs._command = attrs.evolve(runs._command, key_file=file)
    path.parent.mkdir(parents=True)
    path.write_text("old")
    path.chmod(0o644)
    await runs.spawn("r")
    assert path.read_text() == file.text
    assert path.stat().st_mode & 0o777 == 0o600
    runs._command = attrs.evolve(runs._command, key_file=None)
    await runs.spawn("s")
    assert not path.exists()


async def test_how_it_ended_tries_again_what_cannot_be_looked_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start beside what is left would fight with it for the GPU; and the run is accounted for."""
    runs, engine_state, _ = made(tmp_path)
    answers: list[OSError | list[str]] = [OSError(errno.EMFILE, "Too many open files"), ["core"]]

    async def kill(_: RunRecord) -> list[str]:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(orphans, "kill", kill)
    ending = asyncio.create_task(runs.how_it_ended(FakeShim(spec(tmp_path, ["x"])).run))
    await settle()
    assert not ending.done()
    assert engine_state.problem is not None
    assert "Too many open files" in engine_state.problem
    await runs._clock.advance(RETRY_S)  # type: ignore[attr-defined]
    assert (await ending).killed == ("core",)
