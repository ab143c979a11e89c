import asyncio
from datetime import datetime
from pathlib import Path

import attrs
import pytest

from tests.helpers.scene import Scene, running
from vllmd.engine.process.asleep import ANOTHER
from vllmd.engine.sleeping.status import SleepStatus
from vllmd.engine.state_machine import State
from vllmd.errors import HeldError
from vllmd.util.units import GIB


def scene_of(folder: Path, more: str = "", port: int | None = None) -> Scene:
    return Scene(folder, f"sleep = {{ {more} }}", port=port)


def sleep_of(scene: Scene) -> SleepStatus:
    found = scene.supervisor.status.sleep
    assert found is not None
    return found


async def asleep(scene: Scene, level: int | None = None) -> None:
    await scene.until_state(State.READY)
    scene.supervisor.sleeper.ask_sleep("root", level)
    await scene.passes_until(lambda: sleep_of(scene).settled)


async def test_it_sleeps_and_wakes_as_it_is_asked(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await asleep(scene, 2)
        assert scene.state is State.SLEEPING
        assert (sleep_of(scene).level, sleep_of(scene).by) == (2, "root")
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes_until(lambda: scene.state is State.READY)
        assert scene.routes.asked == ["sleep 2", "wake 2"]
        assert sleep_of(scene).asleep_at is None


async def test_what_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        with pytest.raises(HeldError, match=r"\[engines.chat.sleep\]"):
            scene.supervisor.sleeper.ask_sleep("root")
        with pytest.raises(HeldError, match="no sleep mode"):
            scene.supervisor.sleeper.ask_wake("root")
        assert scene.supervisor.status.sleep is None
    async with running(scene_of(tmp_path / "b")) as scene:
        scene.answers = False
        await scene.until_state(State.LOADING)
        with pytest.raises(HeldError, match="it is loading"):
            scene.supervisor.sleeper.ask_sleep("root")
        with pytest.raises(HeldError, match="'vllmd start chat' starts it"):
            scene.supervisor.sleeper.ask_wake("root", runs=False)


async def test_it_sleeps_once_it_was_idle_and_a_request_begins_that_anew(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path, "after_idle_s = 60")) as scene:
        await scene.until_state(State.READY)
        await scene.passes(45, 5)
        rank = attrs.evolve(scene.reading.ranks["0"], steps=7.0)
        scene.reading = attrs.evolve(scene.reading, ranks={"0": rank})
        await scene.passes(45, 5)
        assert scene.state is State.READY
        await scene.passes_until(lambda: scene.state is State.SLEEPING)
        assert sleep_of(scene).by == "idle"
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes_until(lambda: scene.state is State.READY)
        await scene.passes(45, 5)
        assert scene.state is State.READY, "a wake begins it anew"
        await scene.passes_until(lambda: scene.state is State.SLEEPING)


def _hour(scene: Scene, minutes: int) -> str:
    """Return the time of day so many minutes from now, as the host's clock shows it."""
    return datetime.fromtimestamp(scene.clock.time() + 60 * minutes).strftime("%H:%M")


@pytest.mark.long
async def test_schedule_puts_it_to_sleep_and_wakes_it(tmp_path: Path) -> None:
    now = Scene(tmp_path / "x")
    text = f"schedule = '{_hour(now, -60)}-{_hour(now, 10)}, {_hour(now, 30)}-{_hour(now, 90)}'"
    async with running(scene_of(tmp_path, text)) as scene:
        await scene.until_state(State.READY)
        await scene.passes(480)
        assert scene.state is State.READY
        await scene.passes_until(lambda: scene.state is State.SLEEPING, 15)
        assert sleep_of(scene).by == "schedule"
        assert 500 < scene.clock.now - 1000 < 700
        await scene.passes_until(lambda: scene.state is State.READY, 15)
        assert 1700 < scene.clock.now - 1000 < 1900


async def test_busy_engine_is_tried_again_by_its_schedule(tmp_path: Path) -> None:
    now = Scene(tmp_path / "x")
    async with running(
        scene_of(tmp_path, f"schedule = '{_hour(now, 60)}-{_hour(now, 90)}'")
    ) as scene:
        rank = attrs.evolve(scene.reading.ranks["0"], running=1)
        scene.reading = attrs.evolve(scene.reading, ranks={"0": rank})
        await scene.until_state(State.READY)
        await scene.passes_until(lambda: sleep_of(scene).refused is not None)
        assert scene.state is State.READY
        scene.reading = attrs.evolve(scene.reading, ranks={"0": attrs.evolve(rank, running=0)})
        await scene.passes_until(lambda: scene.state is State.SLEEPING, 15)


@pytest.mark.parametrize("level", [1, 2])
async def test_next_daemon_finds_it_asleep_and_knows_its_level(tmp_path: Path, level: int) -> None:
    scene = scene_of(tmp_path)
    async with running(scene, keep=True):
        await asleep(scene, level)
    again = scene_of(tmp_path)
    again.spawner, again.routes.asleep = scene.spawner, True
    async with running(again):
        await again.until_state(State.SLEEPING)
        await again.passes(60)
        assert again.state is State.SLEEPING
        assert sleep_of(again).level == level
        again.supervisor.sleeper.ask_wake("root")
        await again.passes_until(lambda: again.state is State.READY)
        assert again.routes.asked == [f"wake {level}"]


@pytest.mark.parametrize(("level", "asked"), [(1, []), (2, ["reload"])])
async def test_one_that_is_awake_by_another_reads_weights_that_may_be_gone(
    tmp_path: Path, level: int, asked: list[str]
) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await asleep(scene, level)
        scene.routes.asked.clear()
        scene.routes.asleep = False
        await scene.passes_until(lambda: scene.state is State.READY)
        assert scene.routes.asked == asked
        await scene.passes(60)
        assert scene.state is State.READY, "whoever woke it wants it awake"


async def test_sleep_of_another_client_is_seen_and_left(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.reading = attrs.evolve(scene.reading, sleeping=True, sleep_level=2)
        await scene.passes_until(lambda: scene.state is State.SLEEPING)
        assert (sleep_of(scene).by, sleep_of(scene).level) == (ANOTHER, 2)
        await scene.passes(60)
        assert scene.state is State.SLEEPING
        assert scene.routes.asked == []
        scene.reading = attrs.evolve(scene.reading, sleeping=False)
        await scene.passes_until(lambda: scene.state is State.READY)


@pytest.mark.long
async def test_it_is_no_hang_however_long_it_sleeps(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await asleep(scene)
        rank = attrs.evolve(scene.reading.ranks["0"], waiting=3)
        scene.reading = attrs.evolve(scene.reading, ranks={"0": rank}, sleeping=True, sleep_level=1)
        await scene.passes(3600)
        assert scene.state is State.SLEEPING
        assert len(scene.spawner.shims) == 1


async def test_one_that_dies_asleep_is_started_and_sleeps_again(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await asleep(scene)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        scene.routes.asleep = False
        await scene.passes_until(lambda: len(scene.spawner.shims) == 2)
        await scene.passes_until(lambda: scene.state is State.SLEEPING)


async def test_one_that_dies_asleep_waits_for_its_wake_if_that_is_wanted(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path, "restart = false")) as scene:
        await asleep(scene)
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        await scene.passes(600)
        assert len(scene.spawner.shims) == 1
        assert "sleep.restart is false" in (scene.supervisor.status.problem or "")
        scene.routes.asleep = False
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes_until(lambda: scene.state is State.READY)


@pytest.mark.parametrize("seen", [True, False])
async def test_next_daemon_leaves_one_that_died_asleep_until_its_wake(
    tmp_path: Path, seen: bool
) -> None:
    """Whether the daemon before saw it end, or was gone by then."""
    async with running(scene_of(tmp_path, "restart = false"), keep=True) as first:
        await asleep(first)
        if seen:
            await first.spawner.last.end(1)
            await first.until_state(State.BACKOFF)
            await first.supervisor.saved()
    if not seen:
        await first.spawner.last.end(1)
    scene = scene_of(tmp_path, "restart = false", port=first.engine.port)
    scene.clock.now = first.clock.now
    async with running(scene):
        await scene.passes_until(
            lambda: "sleep.restart is false" in (scene.supervisor.status.problem or "")
        )
        await scene.passes(600)
        assert scene.spawner.shims == []
        scene.supervisor.sleeper.ask_wake("root")
        await scene.passes_until(lambda: scene.state is State.READY)


async def test_start_of_one_that_sleeps_wakes_it(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await asleep(scene)
        scene.supervisor.start()
        await scene.passes_until(lambda: scene.state is State.READY)
        assert len(scene.spawner.shims) == 1


async def test_table_that_is_taken_out_takes_its_wish_along(tmp_path: Path) -> None:
    async with running(scene_of(tmp_path)) as scene:
        await asleep(scene)
        scene.takes("")
        assert not (scene.directory / "sleep.json").exists()
        await scene.spawner.last.end(1)
        scene.routes.asleep = False
        await scene.passes_until(lambda: len(scene.spawner.shims) == 2)
        await scene.passes_until(lambda: scene.state is State.READY)
        await scene.passes(600)
        assert scene.state is State.READY
        assert scene.task is not None
        assert not scene.task.done()


async def test_wish_of_an_earlier_daemon_is_forgotten_without_a_table(tmp_path: Path) -> None:
    scene = scene_of(tmp_path)
    async with running(scene):
        await asleep(scene)
    Scene(tmp_path)
    assert not (scene.directory / "sleep.json").exists()


@pytest.mark.long
async def test_wish_that_the_schedule_overruled_does_not_come_back_without_it(
    tmp_path: Path,
) -> None:
    now = Scene(tmp_path / "x")
    text = f"schedule = '{_hour(now, 10)}-{_hour(now, 300)}'"
    async with running(scene_of(tmp_path, text)) as scene:
        await asleep(scene)
        assert sleep_of(scene).by in ("root", "schedule")
        scene.supervisor.sleeper.ask_sleep("root")
        await scene.passes_until(lambda: scene.state is State.READY, 15)
        scene.takes("sleep = {}")
        await scene.passes(600)
        assert scene.state is State.READY
        assert sleep_of(scene).wanted is None
        assert not (scene.directory / "sleep.json").exists()


async def test_schedule_that_is_edited_while_it_is_stopped_takes_the_wish_along(
    tmp_path: Path,
) -> None:
    now = Scene(tmp_path / "x")
    text = f"schedule = '{_hour(now, -60)}-{_hour(now, 10)}, {_hour(now, 30)}-{_hour(now, 300)}'"
    async with running(scene_of(tmp_path, text)) as scene:
        await asleep(scene)
        scene.supervisor.stop()
        await scene.passes_until(lambda: scene.state is State.STOPPED)
        await scene.passes(3600)
        scene.takes("sleep = {}")
        assert sleep_of(scene).wanted is None


async def test_sleep_of_which_a_daemon_did_not_hear_is_proven_by_the_next_one(
    tmp_path: Path,
) -> None:
    scene = scene_of(tmp_path)
    scene.gpu_bytes = 80 * GIB
    async with running(scene, keep=True):
        await scene.until_state(State.READY)
        scene.routes.held = asyncio.Event()
        scene.supervisor.sleeper.ask_sleep("root", 2)
        await scene.passes_until(lambda: bool(scene.routes.asked))
        kept = (scene.directory / "state.json").read_text()
    (scene.directory / "state.json").write_text(kept)  # it was killed, and settled nothing
    again = scene_of(tmp_path)
    again.spawner, again.routes.asleep = scene.spawner, True
    again.gpu_bytes = again.gpu_bytes_asleep = GIB
    async with running(again):
        await again.until_state(State.SLEEPING)
        await again.passes_until(lambda: sleep_of(again).settled)
        assert sleep_of(again).freed_bytes == 79 * GIB
        assert (sleep_of(again).level, sleep_of(again).by) == (2, "root")
        assert again.routes.asked == []
        again.routes.asleep = False
        await again.passes_until(lambda: again.state is State.READY)
        await again.passes(60)
        assert again.state is State.READY, "whoever woke it wants it awake"
        assert again.routes.asked == ["reload"]
