import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.make import spec
from tests.helpers.scene import Scene, running
from tests.helpers.shims import FakeShim
from vllmd.engine.state_machine import State
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.weights.keeper import WeightKeeper
from vllmd.errors import HeldError
from vllmd.shim.protocol import RUN_RECORD_NAME


async def test_run_starts_an_engine_and_becomes_ready(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        status = scene.supervisor.status
        assert status.pid == 4_000_000
        assert not status.adopted
        assert scene.spawner.last.spec["argv"] == list(scene.command.argv)
        assert scene.spawner.last.spec["stop_grace_s"] == 10


@pytest.mark.parametrize("code", [0, 1])
async def test_run_unasked_end_is_a_crash_whatever_its_code(tmp_path: Path, code: int) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(code)
        await scene.until_state(State.BACKOFF)
        assert scene.forgotten == 1
        await scene.clock.advance(3.9)
        assert len(scene.spawner.shims) == 1
        await scene.clock.advance(0.2)
        await scene.until_state(State.READY)
        status = scene.supervisor.status
        assert len(scene.spawner.shims) == 2
        assert (status.restarts, dict(status.exits)) == (1, {(str(code), False): 1})


async def test_run_keeps_the_first_failure_of_a_loop_and_its_cause(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    core = "(EngineCore pid=7) ERROR 11-23 19:09:22 [core.py:1] "
    fatal = f"{core}EngineCore encountered a fatal error.\n{core}"
    log.write_text(f"{fatal}torch.OutOfMemoryError: CUDA out of memory.\n")
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        log.write_text(
            f"{fatal}RuntimeError: CUDA error: an illegal memory access was encountered\n"
        )
        await scene.clock.advance(4)
        await scene.until_state(State.READY)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        shown = scene.supervisor.status.to_json()
        assert shown["last_exit"]["diagnosis"]["cause"] == "cuda_error"
        assert shown["first_failure"]["diagnosis"]["cause"] == "cuda_out_of_memory"


async def test_run_pauses_double(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        for pause_s in (4, 8, 16, 16):
            await scene.until_state(State.READY)
            await scene.spawner.last.end(0)
            await scene.until(lambda: scene.supervisor.status.next_start_at is not None)
            at = scene.supervisor.status.next_start_at
            assert at is not None
            assert at - scene.clock.time() == pause_s
            await scene.clock.advance(pause_s)


async def test_stop_ends_the_engine_and_it_stays_so(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor.stop()
        await scene.until_state(State.STOPPED)
        assert scene.spawner.last.stops[0] == 10
        assert "chat" in scene.stopped
        await scene.supervisor.saved()
        assert "chat" in StoppedEngines(tmp_path / "stopped.json", "boot")
        await scene.clock.advance(3600)
        assert len(scene.spawner.shims) == 1
        scene.supervisor.start()
        await scene.until_state(State.READY)
        assert "chat" not in scene.stopped
        assert scene.supervisor.status.restarts == 0


async def test_stop_while_waiting_for_the_next_start(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(0)
        await scene.until_state(State.BACKOFF)
        scene.supervisor.stop()
        await scene.until_state(State.STOPPED)
        await scene.clock.advance(3600)
        assert len(scene.spawner.shims) == 1


async def test_start_while_waiting_starts_at_once(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(0)
        await scene.until_state(State.BACKOFF)
        scene.supervisor.start()
        await scene.until_state(State.READY)
        assert len(scene.spawner.shims) == 2


async def test_restart_is_a_stop_and_a_start_without_a_pause(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor.restart()
        await scene.until(lambda: len(scene.spawner.shims) == 2)
        await scene.until_state(State.READY)
        assert dict(scene.supervisor.status.exits) == {("0", True): 1}
        assert scene.supervisor.status.restarts == 0


async def test_stopped_earlier_is_not_started(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.stopped.add("chat")
    await scene.stopped.save()
    fresh = Scene(tmp_path)
    async with running(fresh):
        await fresh.clock.advance(10)
        assert fresh.state is State.STOPPED
        assert fresh.spawner.shims == []


async def test_autostart_off_waits_for_a_start(tmp_path: Path) -> None:
    async with running(Scene(tmp_path, "autostart = false")) as scene:
        await scene.clock.advance(10)
        assert scene.state is State.STOPPED
        scene.supervisor.start()
        await scene.until_state(State.READY)


async def test_run_adopts_a_shim_that_it_finds(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.directory.mkdir(parents=True)
    shim = FakeShim(spec(scene.directory, ["x"], command_hash=scene.command.hash))
    await shim.listen()
    async with running(scene):
        await scene.until_state(State.READY)
        status = scene.supervisor.status
        assert (status.adopted, status.run_id, status.command_changed) == (True, "run-1", False)
        assert scene.spawner.shims == []
    shim.vanish()


async def test_start_nothing_adopts_follows_and_does_not_restart(tmp_path: Path) -> None:
    scene = Scene(tmp_path, start_nothing="the configuration is broken")
    scene.directory.mkdir(parents=True)
    shim = FakeShim(spec(scene.directory, ["x"]))
    await shim.listen()
    async with running(scene):
        await scene.until_state(State.READY)
        assert scene.supervisor.status.problem == "the configuration is broken"
        await shim.end(0)
        await scene.until_state(State.BACKOFF)
        await scene.clock.advance(1000)
        await scene.until_state(State.STOPPED)
        assert scene.spawner.shims == []


async def test_run_adopted_engine_of_another_command_is_left_running(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.directory.mkdir(parents=True)
    shim = FakeShim(spec(scene.directory, ["x"], command_hash="other"))
    await shim.listen()
    async with running(scene):
        await scene.until_state(State.READY)
        assert scene.supervisor.status.command_changed
        assert shim.stops == []
    shim.vanish()


async def test_run_knows_how_an_engine_ended_while_no_daemon_was_there(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.directory.mkdir(parents=True)
    shim = FakeShim(spec(scene.directory, ["x"]))
    shim.run["shim_start_ticks"] = 1  # so that this process is not taken for it
    await shim.listen()
    await shim.end(None, signal=9)
    async with running(scene):
        await scene.until_state(State.READY)
        assert dict(scene.supervisor.status.exits) == {("SIGKILL", False): 1}
        assert scene.supervisor.status.restarts == 1
    again = Scene(tmp_path)
    (scene.directory / "run.json").unlink()
    async with running(again):
        await again.until_state(State.READY)
        assert dict(again.supervisor.status.exits) == {("SIGKILL", False): 1}
        last = again.supervisor.status.last_exit
        assert last is not None
        assert last.label == "SIGKILL"


async def test_run_killed_shim_is_a_cause_of_its_own(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.spawner.last.vanish()
        await scene.until_state(State.BACKOFF)
        assert dict(scene.supervisor.status.exits) == {("shim_lost", False): 1}


async def test_run_engine_that_ended_before_anybody_could_look_is_accounted_for(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.spawner.ends_at_once = 3
    async with running(scene):
        await scene.until_state(State.BACKOFF)
        assert dict(scene.supervisor.status.exits) == {("3", False): 1}
        await scene.clock.advance(4)
        await scene.until_state(State.READY)
        assert scene.supervisor.status.restarts == 1
    assert scene.task is not None
    assert scene.task.done()
    assert scene.task.cancelled() or scene.task.exception() is None


async def test_run_engine_that_ends_while_it_loads_lets_others_load(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.answers = False
    async with running(scene):
        await scene.until_state(State.LOADING)
        assert len(list(scene.load_slots.ahead_of("another", None))) == 1
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        assert list(scene.load_slots.ahead_of("another", None)) == []


async def test_run_spawn_that_fails_is_tried_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.spawner.error = "No such file or directory: vllm"
    async with running(scene):
        await scene.until_state(State.BACKOFF)
        assert scene.supervisor.status.problem == scene.spawner.error
        assert dict(scene.supervisor.status.exits) == {("spawn_failed", False): 1}
        assert (
            list(scene.load_slots.ahead_of("another", None)) == []
        )  # nobody waits for what is not
        scene.spawner.error = None
        await scene.clock.advance(4)
        await scene.until_state(State.READY)
        assert scene.supervisor.status.problem is None


async def test_run_after_a_mistake_finds_the_engine_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    async def broken() -> bool:
        raise ZeroDivisionError

    scene.probes.append(broken)
    first = asyncio.create_task(scene.supervisor.run())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(first, 5)
    scene.supervisor.detach()
    scene.probes.clear()
    async with running(scene):
        await scene.until_state(State.READY)
        assert scene.supervisor.status.adopted
        assert len(scene.spawner.shims) == 1
        assert scene.spawner.last.stops == []


async def test_close_stops_the_engine_and_returns(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor.close()
        assert scene.task is not None
        await asyncio.wait_for(scene.task, 5)
        assert scene.state is State.STOPPED
        assert "chat" not in scene.stopped


async def test_close_while_waiting_returns(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        await scene.spawner.last.end(0)
        await scene.until_state(State.BACKOFF)
        scene.supervisor.close()
        assert scene.task is not None
        await asyncio.wait_for(scene.task, 5)
        assert scene.state is State.STOPPED


async def test_keep_in_the_last_moment_of_an_end_starts_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload took it out, and the next one brought it back while its weights were given up."""
    begun, go_on, release = asyncio.Event(), asyncio.Event(), WeightKeeper.release

    async def slow(self: WeightKeeper, *args: Any, **more: Any) -> float | None:
        begun.set()
        await go_on.wait()
        return await release(self, *args, **more)

    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        monkeypatch.setattr(WeightKeeper, "release", slow)
        scene.supervisor.dismiss()
        await asyncio.wait_for(begun.wait(), 5)
        scene.supervisor.keep()
        go_on.set()
        await scene.until_state(State.READY)
        assert len(scene.spawner.shims) == 2


@pytest.mark.parametrize("record", ["there", "unreadable"])
async def test_run_connection_that_ends_while_the_shim_lives_costs_no_engine(
    tmp_path: Path, record: str
) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        shim = scene.spawner.last
        if record == "unreadable":
            (scene.directory / RUN_RECORD_NAME).write_text("")
        shim.hang_up()
        await scene.passes(5, 0.1)
        await scene.until_state(State.READY)
        assert scene.supervisor.status.adopted
        assert scene.spawner.shims == [shim]
        assert (shim.stops, dict(scene.supervisor.status.exits)) == ([], {})


async def test_restart_without_a_configuration_that_could_start_it_leaves_the_engine(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path, start_nothing="the configuration is broken")
    scene.directory.mkdir(parents=True)
    shim = FakeShim(spec(scene.directory, ["x"]))
    await shim.listen()
    async with running(scene):
        await scene.until_state(State.READY)
        with pytest.raises(HeldError, match="the configuration is broken"):
            scene.supervisor.restart()
        await scene.clock.advance(60)
        assert (scene.state, shim.stops) == (State.READY, [])
    shim.vanish()
