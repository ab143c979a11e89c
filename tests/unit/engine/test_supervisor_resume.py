"""A daemon that starts again beside an engine; and settings that change while one runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.make import engine, spec
from tests.helpers.scene import Scene, running
from tests.helpers.shims import FakeShim
from vllmd.config import command
from vllmd.engine.assembly import EngineSettings
from vllmd.engine.liveness.monitor import LivenessMonitor, Stall
from vllmd.engine.liveness.reading import PageAnswer
from vllmd.engine.process.run_state import NAME
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.supervisor import Supervisor
from vllmd.events.engine import EngineAdopted, EnginePhaseReached, EngineStateChanged
from vllmd.shim.protocol import RunRecord

AWAY_S = 500.0


@asynccontextmanager
async def next_daemon(folder: Path, before: Scene) -> AsyncIterator[Scene]:
    """Run another supervisor beside the same shim, some time after the one before."""
    scene = Scene(folder, port=before.engine.port)
    scene.clock.now = before.clock.now + AWAY_S
    scene.answers = before.answers
    scene.spawner.shims = before.spawner.shims
    async with running(scene):
        yield scene


async def served(folder: Path) -> Scene:
    """Run an engine until it serves, for a while, and leave it."""
    async with running(Scene(folder), keep=True) as scene:
        await scene.until_state(State.READY)
        await scene.clock.advance(100)
    return scene


async def test_engine_that_served_goes_on_with_its_since_when(tmp_path: Path) -> None:
    first = await served(tmp_path)
    before = first.supervisor.status
    with capture_logs() as logs:
        async with next_daemon(tmp_path, first) as scene:
            assert not scene.supervisor.status.looked_for
            await scene.until_state(State.READY)
            after = scene.supervisor.status
    assert (after.since, after.phases) == (before.since, before.phases)
    assert (after.start_duration_s, after.adopted) == (before.start_duration_s, True)
    assert after.transitions == before.transitions
    assert after.looked_for
    told = [line["event"] for line in logs]
    assert told == [EngineAdopted.name]


@pytest.mark.parametrize(
    ("answer", "state"),
    [(PageAnswer.REFUSED, State.UNREACHABLE), (PageAnswer.NONE, State.READY)],
)
async def test_engine_that_does_not_answer_at_the_first_look(
    tmp_path: Path, answer: PageAnswer, state: State
) -> None:
    """One that refuses serves no more; a page that is late under load says nothing."""
    first = await served(tmp_path)
    scene = Scene(tmp_path, port=first.engine.port)
    scene.clock.now = first.clock.now
    scene.spawner.shims = first.spawner.shims

    scene.page_answer = answer
    async with running(scene):
        await scene.until(scene.supervisor.looked.is_set)
        assert scene.state is state


async def test_load_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Scene(tmp_path)
    first.answers = False
    async with running(first, keep=True):
        await first.until_state(State.LOADING)
        Path(tmp_path / "chat.log").write_text("Starting to load model x...\n")
        await first.clock.advance(20)
        before = first.supervisor.status
        assert before.phase == "weights"
    with capture_logs() as logs:
        async with next_daemon(tmp_path, first) as scene:
            await scene.until_state(State.LOADING)
            assert scene.supervisor.status.phase == "weights"
            assert "chat" in scene.load_slots._loading
            scene.answers = True
            await scene.clock.advance(1)
            await scene.until_state(State.READY)
            after = scene.supervisor.status
    assert after.start_duration_s == pytest.approx(20 + AWAY_S + 0.5, abs=1)
    assert EnginePhaseReached.name not in [line["event"] for line in logs]


async def test_drain_that_was_not_begun_in_earnest_is_over(tmp_path: Path) -> None:
    first = Scene(tmp_path)
    slow = attrs.evolve(first.engine, unready_s=60)
    async with running(first, keep=True):
        await first.until_state(State.READY)
        first.supervisor.configure(attrs.evolve(first.settings, engine=slow))
        first.supervisor.restart()
        await first.until_state(State.DRAINING)
    assert first.spawner.last.stops == []
    async with next_daemon(tmp_path, first) as scene:
        await scene.until_state(State.READY)
        await scene.clock.advance(100)
        assert first.spawner.last.stops == []


async def test_end_that_was_begun_is_gone_through_with(tmp_path: Path) -> None:
    first = Scene(tmp_path)
    async with running(first, keep=True):
        await first.until_state(State.READY)
        first.spawner.last.exits_when_stopped = False
        first.supervisor.restart()
        await first.until_state(State.STOPPING)
    shim = first.spawner.last
    shim.run["stopping"] = True  # type: ignore[typeddict-unknown-key]
    asked = len(shim.stops)
    async with next_daemon(tmp_path, first) as scene:
        await scene.until_state(State.STOPPING)
        await scene.until(lambda: len(shim.stops) > asked)  # and it is seen to that it ends
        await shim.end(0, requested=True)
        await scene.until_state(State.READY)
        assert len(scene.spawner.shims) == 2
        assert scene.supervisor.status.restarts == 0


@pytest.mark.parametrize("content", ["", "{}", '{"boot_id": "another"}'])
async def test_without_a_state_it_is_found_out(tmp_path: Path, content: str) -> None:
    first = await served(tmp_path)
    (first.directory / NAME).write_text(content)
    async with next_daemon(tmp_path, first) as scene:
        await scene.until_state(State.READY)
        found = scene.supervisor.status.transitions
        assert found[Trigger.ADOPTED, State.LOADING] == 1


async def test_engine_that_somebody_started_outlives_the_daemon(tmp_path: Path) -> None:
    first = Scene(tmp_path, "autostart = false")
    async with running(first, keep=True):
        first.supervisor.start()
        await first.until_state(State.READY)
    scene = Scene(tmp_path, "autostart = false", port=first.engine.port)
    scene.clock.now = first.clock.now
    scene.spawner.shims = first.spawner.shims
    async with running(scene):
        await scene.until_state(State.READY)
        await scene.clock.advance(100)
        assert scene.supervisor.status.wanted
        assert first.spawner.last.stops == []


async def test_clock_that_is_set_changes_no_length_of_time(tmp_path: Path) -> None:
    """NTP sets it at boot, by years on a host without a battery."""
    scene = Scene(tmp_path)
    scene.answers = False
    async with running(scene):
        await scene.until_state(State.LOADING)
        for step_s in (1e8, -2e8):
            await scene.clock.advance(10)
            scene.clock.step(step_s)
            status = scene.supervisor.status
            assert status.phases["spawn"] == pytest.approx(10 if step_s > 0 else 20, abs=0.5)
            assert scene.clock.time() - status.since == pytest.approx(
                10 if step_s > 0 else 20, abs=1
            )
        scene.answers = True
        with capture_logs() as logs:
            await scene.clock.advance(1)
            await scene.until_state(State.READY)
        assert scene.supervisor.status.start_duration_s == pytest.approx(20.5, abs=1)
        (changed,) = [line for line in logs if line["event"] == EngineStateChanged.name]
        assert changed["after_s"] == pytest.approx(20.5, abs=1)
        ((start,),) = scene.supervisor._state.known.starts.values()
        assert all(0 <= seconds <= 30 for seconds in start.values())
        await scene.spawner.last.end(0)
        await scene.until_state(State.BACKOFF)
        scene.clock.step(3600)
        again = scene.supervisor.status.next_start_at
        assert again is not None
        assert again - scene.clock.time() == pytest.approx(4, abs=1)
        await scene.clock.advance(5)
        await scene.until_state(State.READY)


async def test_hold_is_over_in_its_time_whatever_the_clock_is_set_to(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    core = "(EngineCore pid=7) ERROR 11-23 19:09:22 [core.py:1] "
    full = "OSError: [Errno 28] No space left on device: '/a'"
    log.write_text(f"{core}EngineCore encountered a fatal error.\n{core}{full}\n")
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        scene.supervisor._state.known.past = attrs.evolve(
            scene.supervisor._state.known.past, proven=()
        )
        await scene.spawner.last.end(1)
        await scene.until_state(State.HELD)
        scene.clock.step(-1e6)
        assert 1790 <= await scene.leaves(State.HELD) <= 1830


def other(scene: Scene, text: str) -> EngineSettings:
    changed = engine(f"port = {scene.engine.port}\nunready_s = 0\ndrain_s = 3\n{text}")
    return attrs.evolve(scene.settings, engine=changed, command=command.build(changed))


async def test_configure_leaves_a_pause_alone_unless_the_command_is_another(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with running(scene):
        await scene.until_state(State.READY)
        await scene.spawner.last.end(0)
        await scene.until_state(State.BACKOFF)
        scene.supervisor.configure(other(scene, "liveness = { stall_s = 7 }"))
        await scene.clock.advance(3.9)
        assert len(scene.spawner.shims) == 1
        scene.supervisor.configure(other(scene, "max_model_len = 7"))
        await scene.until_state(State.READY)
        assert "7" in scene.spawner.last.spec["argv"]


async def test_configure_gives_a_running_watch_its_limits(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    async with running(scene):
        await scene.until_state(State.READY)
        since = scene.supervisor.status.since
        scene.supervisor.configure(other(scene, "liveness = { stall_s = 7 }"))
        assert scene.supervisor._watch.limits.stall_s == 7
        await scene.clock.advance(20)
        assert (scene.state, scene.supervisor.status.since) == (State.READY, since)


async def test_leave_lets_a_start_finish_and_touches_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.answers = False
    async with running(scene):
        await scene.until_state(State.LOADING)
        scene.supervisor.leave()
        assert scene.task is not None
        await asyncio.wait_for(scene.task, 5)
        assert scene.spawner.last.stops == []
        assert await scene.spawner.last.is_detached()
        scene.supervisor.keep()
        scene.answers = True
        scene.task = asyncio.create_task(scene.supervisor.run())
        await scene.clock.advance(1)
        await scene.until_state(State.READY)
        assert len(scene.spawner.shims) == 1


@pytest.mark.parametrize("wish", ["leave", "dismiss"])
async def test_keep_before_an_end_is_under_way_ends_nothing(tmp_path: Path, wish: str) -> None:
    """Two reloads: what follows the engine may take a moment to let go of it, as a look does."""
    scene = Scene(tmp_path)
    real, let_go = scene.supervisor.sleeper.run, asyncio.Event()

    async def slow(run: RunRecord, watch: LivenessMonitor) -> Stall:
        try:
            return await real(run, watch)
        finally:
            await let_go.wait()

    scene.supervisor.sleeper.run = slow  # type: ignore[method-assign]
    async with running(scene):
        await scene.until_state(State.READY)
        getattr(scene.supervisor, wish)()
        await scene.clock.advance(1)
        scene.supervisor.keep()
        let_go.set()
        await scene.clock.advance(20)
        assert scene.task is not None
        assert (scene.state, scene.task.done()) == (State.READY, False)
        assert scene.spawner.last.stops == []


async def test_restart_that_was_done_ends_no_engine_that_is_found_later(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        first = scene.spawner.last
        first.exits_when_stopped = False
        scene.supervisor.restart()
        await scene.until(lambda: bool(first.stops))
        scene.supervisor.leave()
        await first.end(0, requested=True)
        assert scene.task is not None
        await asyncio.wait_for(scene.task, 5)
        found = FakeShim(spec(scene.directory, ["x"], command_hash=scene.command.hash))
        await found.listen()
        scene.supervisor.keep()
        scene.task = asyncio.create_task(scene.supervisor.run())
        await scene.until_state(State.READY)
        await scene.clock.advance(5)
        assert (scene.state, found.stops) == (State.READY, [])
    found.vanish()


async def test_whoever_wants_to_know_is_told_whenever_nothing_of_the_engine_is_left(
    tmp_path: Path,
) -> None:
    scene, told = Scene(tmp_path, "autostart = false"), [0]

    def ended() -> None:
        told[0] += 1

    context = attrs.evolve(scene.settings.context, ended=ended)
    scene.supervisor = Supervisor(attrs.evolve(scene.settings, context=context))
    async with running(scene):
        await scene.until(scene.supervisor.looked.is_set)
        assert told == [1]
        scene.supervisor.start()
        await scene.until_state(State.READY)
        assert told == [1]
        await scene.spawner.last.end(0)
        await scene.until_state(State.BACKOFF)
        assert told == [2]


async def test_span_of_a_load_is_a_phase(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        scene.answers = False
        await scene.until_state(State.LOADING)
        scene.supervisor.span_ended("Load weights", scene.clock.time(), failed=False)
        assert scene.supervisor.status.phase == "weights"


async def test_start_that_is_wanted_before_a_hold_begins_goes_before_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    engine_state = scene.supervisor._state
    engine_state.to(Trigger.START)
    engine_state.to(Trigger.SPAWN_FAILED)
    scene.supervisor.start()
    await asyncio.wait_for(scene.supervisor._hold(), 5)
    assert scene.state is State.BACKOFF


async def test_renew_restarts_one_with_another_command_unless_it_could_not_start(
    tmp_path: Path,
) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        text = "port = 1\nunready_s = 0\nmax_model_len = 99"
        other = command.build(engine(text))
        scene.supervisor.configure(attrs.evolve(scene.settings, command=other))
        scene.mismatch = "the driver is changed"
        scene.supervisor.renew()
        await scene.clock.advance(5)
        assert scene.spawner.last.stops == []
        assert "the driver is changed" in str(scene.supervisor.status.problem)
        scene.mismatch = None
        scene.supervisor.renew()
        await scene.until(lambda: len(scene.spawner.shims) == 2)


async def test_configure_starts_none_that_waits_for_a_start(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "autostart = false")
    async with running(scene):
        await scene.clock.advance(10)
        scene.supervisor.configure(other(scene, "autostart = false\nmax_model_len = 7"))
        await scene.clock.advance(10)
        assert (scene.state, scene.spawner.shims) == (State.STOPPED, [])
        scene.supervisor.configure(other(scene, "max_model_len = 7"))
        await scene.until_state(State.READY)
