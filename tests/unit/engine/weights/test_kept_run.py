"""A shim of weights that is silent: nothing maps what nobody compared, nothing is forgotten."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.kept_weights import KeptScene, kept, short_folder
from tests.helpers.scene import running
from tests.helpers.shims import FakeShim
from vllmd.engine.process import orphans
from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


@contextlib.asynccontextmanager
async def silent(folder: Path, text: str = "") -> AsyncIterator[tuple[KeptScene, KeptScene]]:
    """Have an engine that ended beside its weights, whose shim does not answer the next daemon."""
    async with kept(folder) as before:
        await before.complete()
        await before.until_state(State.READY)
        before.supervisor.detach()
        assert before.task is not None
        before.task.cancel()
        before.engine_shims[0].vanish()
        (before.settings.context.directory / "run.json").unlink()
        before.weight_shims[0].is_silent = True
        after = KeptScene(folder, text)
        async with running(after):
            beside = [after.keeper.follow(), end_with_process(before.weight_shims[0])]
            tasks = [asyncio.create_task(each) for each in beside]
            yield before, after
            for task in tasks:
                task.cancel()


async def end_with_process(shim: FakeShim) -> None:
    """Let nobody listen any more once the shim's process is gone."""
    while shim.process.poll() is None:  # noqa: ASYNC110 - a process tells nobody
        await asyncio.sleep(0.001)
    shim.vanish()


def maps(scene: KeptScene) -> bool:
    return "ipc_cache" in scene.engine_shims[-1].spec["argv"]


def problem(scene: KeptScene) -> str:
    status = scene.keeper.status
    assert status is not None
    return str(status.problem)


async def test_start_beside_it_waits_then_ends_it_and_loads_anew(folder: Path) -> None:
    async with silent(folder) as (before, after):
        with capture_logs() as told:
            await after.passes_until(lambda: after.weights_state is WeightsState.UNRESPONSIVE)
            assert not after.engine_shims
            assert "does not answer" in problem(after)
            assert "'vllmd stop chat'" in problem(after)
            await after.passes_until(lambda: before.weight_shims[0].process.poll() is not None)
            await after.complete(1)
        assert maps(after), "those that were loaded now"
        assert after.weights_state is WeightsState.READY
        names = [each["event"] for each in told if each["event"].startswith("weights.")]
        assert names == [
            "weights.unresponsive",
            "weights.ended",
            "weights.spawned",
            "weights.ready",
        ]
        (ended,) = [each for each in told if each["event"] == "weights.ended"]
        assert (ended["requested"], ended["log_level"]) == (True, "info")


async def test_start_beside_one_that_answers_again_maps_them(folder: Path) -> None:
    async with silent(folder) as (before, after):
        await after.passes_until(lambda: after.weights_state is WeightsState.UNRESPONSIVE)
        before.weight_shims[0].is_silent = False
        await after.passes_until(lambda: bool(after.engine_shims))
        assert maps(after)
        assert after.weight_shims == []


async def test_start_beside_what_does_not_end_loads_by_itself_and_maps_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stays(_: RunRecord) -> list[str]:
        raise TimeoutError("still there after SIGKILL: VLLM::Weights (pid 7)")

    async with silent(folder) as (_, after):
        monkeypatch.setattr(orphans, "kill", stays)
        with capture_logs() as told:
            await after.passes_until(lambda: bool(after.engine_shims), 5)
        assert not maps(after)
        assert after.weights_state is WeightsState.UNRESPONSIVE
        assert "still there after SIGKILL" in problem(after)
        assert "a reboot may be needed" in problem(after)
        said = [each["problem"] for each in told if each["event"] == "weights.unresponsive"]
        assert len(said) == len(set(said)) == 2, "each problem is told once"


async def test_stop_ends_it_and_says_what_is_left_meanwhile(folder: Path) -> None:
    async with silent(folder) as (before, after):
        await after.passes_until(lambda: after.weights_state is WeightsState.UNRESPONSIVE)
        shim = before.weight_shims[0]
        monkey = pytest.MonkeyPatch()
        monkey.setattr(orphans, "ask_end", lambda _: None)  # it does not hear SIGTERM
        after.supervisor.stop()
        await after.passes_until(lambda: after.state is State.STOPPED)
        status = after.keeper.status
        assert status is not None
        assert (status.state, status.run_id, status.shim_pid) == (
            WeightsState.UNRESPONSIVE,
            shim.spec["run_id"],
            shim.pid,
        )
        await after.passes_until(lambda: after.weights_state is WeightsState.ABSENT)
        assert shim.process.wait() == -signal.SIGKILL
        monkey.undo()


async def test_stop_of_what_does_not_end_goes_on_trying(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    can_end = False
    kill = orphans.kill

    async def stays(run: RunRecord) -> list[str]:
        if can_end:
            return await kill(run)
        raise TimeoutError("still there after SIGKILL: VLLM::Weights (pid 7)")

    async with silent(folder) as (_, after):
        monkeypatch.setattr(orphans, "kill", stays)
        after.supervisor.stop()
        await after.passes_until(lambda: "still there" in problem(after))
        await after.passes(300, 5)
        assert after.state is State.STOPPED
        assert after.weights_state is WeightsState.UNRESPONSIVE
        can_end = True
        await after.passes_until(lambda: after.weights_state is WeightsState.ABSENT)


async def test_stop_that_keeps_them_leaves_it_alone(folder: Path) -> None:
    async with silent(folder) as (before, after):
        after.supervisor.stop(keep_weights=True)
        await after.passes_until(lambda: after.weights_state is WeightsState.UNRESPONSIVE)
        await after.passes(300, 5)
        assert before.weight_shims[0].process.poll() is None


async def test_end_of_the_daemon_ends_it(folder: Path) -> None:
    async with silent(folder) as (before, after):
        await after.passes_until(lambda: after.weights_state is WeightsState.UNRESPONSIVE)
        after.supervisor.close()
        assert after.task is not None
        await after.passes_until(after.task.done)
        assert before.weight_shims[0].process.poll() is not None


async def test_one_that_was_stopped_is_continued(folder: Path) -> None:
    async with silent(folder) as (before, after):
        pid = before.weight_shims[0].pid
        after.supervisor.stop(keep_weights=True)
        os.kill(pid, signal.SIGSTOP)

        def is_stopped() -> bool:
            stat = proc.read_stat(pid)
            return stat is not None and stat.state == "T"

        await after.until(is_stopped)
        await after.passes_until(lambda: not is_stopped(), 2)


async def test_connection_that_ends_beside_a_silent_shim_is_no_end_and_no_readiness(
    folder: Path,
) -> None:
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        shim = scene.weight_shims[0]
        shim.is_silent = True
        shim.hang_up()
        await scene.passes_until(lambda: scene.weights_state is WeightsState.UNRESPONSIVE)
        assert scene.state is State.READY, "the engine serves on"
        await scene.passes(120, 2)
        assert shim.process.poll() is None, "silence proves nothing: nobody needs its end"
        shim.is_silent = False
        await scene.passes_until(lambda: scene.weights_state is WeightsState.READY)
