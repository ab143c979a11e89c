import asyncio
from pathlib import Path

import attrs
import pytest

from tests.helpers.scene import Scene, running
from vllmd.engine.exits import Exit
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading
from vllmd.engine.probes.sleep_routes import RoutesMissingError, SleepRouteError
from vllmd.engine.sleeping.changes import SleepRefusedError
from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.state_machine import State
from vllmd.util.units import GIB


def scene_of(folder: Path, more: str = "") -> Scene:
    return Scene(folder, f"sleep = {{ {more} }}")


def busy(scene: Scene, running_now: int) -> None:
    scene.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, running_now, 0)})


async def test_sleep_is_red_first_then_noted_then_asked_for(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.routes.held = asyncio.Event()
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.routes.asked == ["sleep 1"])
        assert scene.state is State.DRAINING
        kept = (scene.directory / "state.json").read_text()
        assert '"asleep": {"level": 1' in kept, "the next daemon knows before vLLM does"
        scene.routes.held.set()
        await scene.passes_until(lambda: scene.state is State.SLEEPING)


async def test_memory_that_came_back_is_shown_and_what_did_not_is_told(tmp_path: Path) -> None:
    for held, problem in ((GIB, None), (70 * GIB, "holds 70.0 GiB of the 80.0 GiB")):
        async with running(scene_of(tmp_path / str(held))) as scene:
            scene.gpu_bytes, scene.gpu_bytes_asleep = 80 * GIB, held
            await scene.until_state(State.READY)
            scene.supervisor.sleeper.ask_sleep("root")
            await scene.passes_until(lambda: _settled(scene))
            status = scene.supervisor.status
            assert status.sleep is not None
            assert status.sleep.freed_bytes == 80 * GIB - held
            assert (problem or "") in (status.problem or "")
            assert (status.problem is None) is (problem is None)


def _settled(scene: Scene) -> bool:
    sleep = scene.supervisor.status.sleep
    return sleep is not None and sleep.settled


async def test_busy_engine_is_kept_after_its_drain_and_nothing_was_asked(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        busy(scene, 2)
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.supervisor.status.sleep.refused is not None)  # type: ignore[union-attr]
        assert scene.state is State.READY
        assert scene.routes.asked == []
        assert "2 requests run after drain_s (3 s)" in str(scene.supervisor.status.sleep)
        busy(scene, 0)
        await scene.passes(600)
        assert scene.state is State.READY, "what was asked once is given up"


async def test_engine_without_the_routes_is_never_red(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.routes.fails["is_asleep"] = RoutesMissingError("it has no route")
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.supervisor.status.sleep.refused is not None)  # type: ignore[union-attr]
        drained = [state for _, state in scene.supervisor.status.transitions]
        assert State.DRAINING not in drained


async def test_sleep_that_fails_is_undone(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.routes.fails["sleep"] = SleepRouteError("HTTP 500")
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.supervisor.status.sleep.refused is not None)  # type: ignore[union-attr]
        assert scene.state is State.READY
        assert scene.routes.asked == ["sleep 1", "wake 1"]


async def test_sleep_that_fails_and_cannot_be_undone_ends_the_run(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        for what in ("sleep", "wake"):
            scene.routes.fails[what] = SleepRouteError("HTTP 500")
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.state is State.BACKOFF)
        last = scene.supervisor.status.last_exit
        assert last is not None
        assert last.label == "sleep_failed"
        assert last.diagnosis is not None
        assert last.diagnosis.cause == "wake_failed"


@pytest.mark.parametrize("what", ["sleep", "wake"])
async def test_change_that_hangs_is_a_stall(tmp_path: Path, what: str) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        sleeper = scene.supervisor.sleeper
        if what == "wake":
            sleeper.ask_sleep("root")
            await scene.passes_until(lambda: scene.state is State.SLEEPING)
        scene.routes.held = asyncio.Event()
        (sleeper.ask_sleep if what == "sleep" else sleeper.ask_wake)("root")
        await scene.passes(540)
        assert scene.state is (State.DRAINING if what == "sleep" else State.SLEEPING)
        await scene.passes_until(lambda: scene.state is State.BACKOFF, 15)
        last = scene.supervisor.status.last_exit
        assert last is not None
        assert last.label == "stalled"


async def test_stop_while_it_falls_asleep_ends_it(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.routes.held = asyncio.Event()
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: bool(scene.routes.asked))
        scene.supervisor.stop()
        await scene.passes_until(lambda: scene.state is State.STOPPED)
        assert scene.supervisor.status.last_exit is not None
        assert scene.supervisor.status.last_exit.requested


async def test_end_while_it_drains_to_sleep_is_a_failure_with_a_pause(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        busy(scene, 1)
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.state is State.DRAINING)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)


async def test_page_of_before_a_wake_puts_nothing_to_sleep(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.state is State.SLEEPING)
        scene.reading = attrs.evolve(scene.reading, sleeping=True, sleep_level=1)
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes_until(lambda: scene.state is State.READY)
        scene.reading = attrs.evolve(scene.reading, sleeping=False)
        await scene.passes(30)
        assert scene.state is State.READY


async def test_engine_without_a_table_is_refused_and_no_mistake(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    wish = Wish(True, "root", 0.0)
    with pytest.raises(SleepRefusedError, match="no sleep mode"):
        await scene.supervisor.sleeper._changes.fall_asleep(wish, {})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("done", [True, False])
async def test_sleep_over_a_connection_that_fails_is_asked_after(
    tmp_path: Path, done: bool
) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.routes.cut["sleep"] = done
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: bool(scene.routes.asked))
        await scene.passes(60)
        assert scene.state is (State.SLEEPING if done else State.READY)
        assert scene.routes.asked == ["sleep 1"], "nothing was undone"
        assert len(scene.spawner.shims) == 1
        if not done:
            assert "ReadError" in str(scene.supervisor.status.sleep)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("done", [True, False])
async def test_wake_over_a_connection_that_fails_is_asked_after(
    tmp_path: Path, done: bool, level: int
) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor.sleeper.ask_sleep("root", level)
        await scene.passes_until(lambda: _settled(scene))
        scene.routes.cut["wake"] = done
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes(60)
        assert scene.state is (State.READY if done else State.SLEEPING)
        assert len(scene.spawner.shims) == 1, "it is as healthy as before"
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes_until(lambda: scene.state is State.READY)


async def test_weights_are_read_again_if_the_connection_fails(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor.sleeper.ask_sleep("root", 2)
        await scene.passes_until(lambda: _settled(scene))
        scene.routes.cut["reload"], scene.routes.asleep = True, False
        await scene.passes_until(lambda: scene.state is State.READY)
        assert scene.routes.asked[1:] == ["reload", "reload"]
        assert len(scene.spawner.shims) == 1


@pytest.mark.parametrize("own", [True, False])
async def test_silence_after_a_connection_that_failed_ends_it_unless_vllmd_cannot_ask(
    tmp_path: Path, own: bool
) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.routes.cut["sleep"] = False
        scene.routes.asleep = None
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: bool(scene.routes.asked))
        scene.page_answer = PageAnswer.UNKNOWN if own else PageAnswer.NONE
        await scene.passes(540)
        assert len(scene.spawner.shims) == 1
        assert scene.state is State.DRAINING
        await scene.passes(300)
        assert (scene.state is State.DRAINING) is own


async def test_one_that_hangs_keeps_its_turn_until_nothing_of_it_is_left(tmp_path: Path) -> None:
    async with running(Scene(tmp_path, "sleep = { share = 'gpu0' }")) as scene:
        await scene.until_state(State.READY)
        sleeper, turns = scene.supervisor.sleeper, list[bool]()
        ended = sleeper.ended

        def noted(end: Exit) -> Exit:
            turns.append(sleeper.holds_turn)
            return ended(end)

        sleeper.ended = noted  # type: ignore[method-assign]
        scene.routes.held = asyncio.Event()
        sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.state is State.BACKOFF, 15)
        assert turns == [True]
        assert not sleeper.holds_turn
