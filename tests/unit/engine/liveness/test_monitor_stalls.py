from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.monitored import LIMITS, Scene, watching
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.monitor import (
    LEFT_ALONE,
)
from vllmd.engine.liveness.reading import (
    GpuSample,
    PageAnswer,
    ProcessActivity,
    ProcessUse,
    RankProgress,
)
from vllmd.engine.state_machine import State
from vllmd.events.engine import (
    EngineCleared,
    EngineProblemFound,
)

# --- a fresh look before anything is done ------------------------------------------------------


def stalls(scene: Scene) -> None:
    scene.shows(2, running=1)


def silences(scene: Scene) -> None:
    scene.silent(PageAnswer.NONE)


WAYS = [stalls, silences]


@pytest.mark.parametrize("way", WAYS)
async def test_run_healthy_by_a_fresh_look_is_neither_red_nor_killed(
    tmp_path: Path, way: Callable[[Scene], None]
) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        way(scene)
        scene.fresh = FreshLook(PageAnswer.PAGE, {"0": RankProgress(3, 1, 0)}, answered=True)
        with capture_logs() as logs:
            await scene.clock.advance(3 * LIMITS.stall_s)
        assert not task.done()
        assert scene.diagnosed == []
        assert scene.engine_state.state is not State.STALLED
        assert EngineCleared.name in [entry["event"] for entry in logs]
        assert len(scene.looks) <= 3  # the limit counts anew


@pytest.mark.parametrize("way", WAYS)
async def test_run_nobody_can_look_afresh_nothing_is_killed_and_it_is_said(
    tmp_path: Path, way: Callable[[Scene], None]
) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        way(scene)
        scene.fresh = FreshLook(PageAnswer.UNKNOWN, problem="it was late itself")
        with capture_logs() as logs:
            await scene.clock.advance(3 * LIMITS.stall_s)
        assert not task.done()
        assert scene.diagnosed == []
        assert scene.engine_state.problem == LEFT_ALONE + "it was late itself"
        said = [entry for entry in logs if entry["event"] == EngineProblemFound.name]
        assert len(said) == 1
        scene.fresh = None
        await scene.clock.advance(10)
        assert task.result().label == "stalled"


async def test_run_doubt_that_was_not_sure_is_taken_back_with_progress(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, _):
        stalls(scene)
        scene.fresh = FreshLook(PageAnswer.UNKNOWN, problem="it was late itself")
        await scene.clock.advance(LIMITS.stall_s + 20)
        assert scene.engine_state.problem
        scene.shows(3, running=1)
        await scene.clock.advance(5)
        assert scene.engine_state.problem is None


@pytest.mark.parametrize(
    ("fresh", "state"),
    [
        (FreshLook(PageAnswer.PAGE, {"0": RankProgress(3, 1, 0)}, answered=True), State.READY),
        (FreshLook(PageAnswer.UNKNOWN, problem="late"), State.STALLED),
        (FreshLook(PageAnswer.NONE), State.STALLED),
    ],
)
async def test_run_second_look_after_the_diagnosis_decides(
    tmp_path: Path, fresh: FreshLook, state: State
) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        stalls(scene)
        scene.during_diagnosis = lambda: setattr(scene, "fresh", fresh)
        await scene.clock.advance(LIMITS.stall_s + 12)
        assert len(scene.diagnosed) == 1
        assert scene.is_in(state)
        assert not task.done()
        scene.fresh, scene.during_diagnosis = None, lambda: None
        await scene.clock.advance(2 * LIMITS.stall_s)
        assert task.result().label == "stalled"


async def test_run_engine_that_stays_mute_is_never_ready(tmp_path: Path) -> None:
    """Its processes use CPU during the diagnosis, which makes the verdict a mere silence."""
    async with watching(tmp_path, ready=True) as (scene, task):
        silences(scene)

        def busy() -> None:
            scene.clock.now += 3
            scene.activity = ProcessActivity(11.0, 10.0, 1000)
            scene.fresh = FreshLook(PageAnswer.UNKNOWN, problem="late")

        scene.during_diagnosis = busy
        await scene.clock.advance(LIMITS.stall_s + 20)
        assert scene.diagnosed
        api_cpu_s = 11.0
        for _ in range(6):
            await scene.clock.advance(5)
            api_cpu_s += 5
            scene.activity = ProcessActivity(api_cpu_s, 10.0, 1000)
            assert scene.engine_state.state in (State.STALLED, State.UNREACHABLE)
        assert scene.is_in(State.UNREACHABLE)
        scene.fresh, scene.during_diagnosis = None, lambda: None
        for _ in range(int(LIMITS.hang_s / 5)):
            await scene.clock.advance(5)
            api_cpu_s += 5
            scene.activity = ProcessActivity(api_cpu_s, 10.0, 1000)
        assert task.result().label == "stalled"


async def test_run_canary_without_an_answer_is_asked_again_by_the_fresh_look(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ready=True, canary=True) as (scene, task):
        scene.fresh = FreshLook(
            PageAnswer.PAGE, {"0": RankProgress(1, 0, 0)}, answered=True, canary=True
        )
        await scene.clock.advance(LIMITS.canary_every_s + LIMITS.stall_s + 20)
        assert scene.looks == [True]
        assert not task.done()
        assert scene.is_in(State.READY)


async def test_run_load_that_answers_a_fresh_look_goes_on(tmp_path: Path) -> None:
    """The daemon's own question for its health gets no answer, as when the loop is late."""
    async with watching(tmp_path) as (scene, task):
        scene.fresh = FreshLook(PageAnswer.PAGE, answered=True)
        await scene.clock.advance(3 * LIMITS.load_stall_s)
        assert not task.done()
        assert scene.is_in(State.LOADING)
        scene.fresh = FreshLook(PageAnswer.UNKNOWN, problem="late")
        await scene.clock.advance(2 * LIMITS.load_stall_s)
        assert not task.done()
        assert scene.is_in(State.LOADING)
        assert scene.engine_state.problem == LEFT_ALONE + "late"
        scene.answers, scene.fresh = True, None
        await scene.clock.advance(1)
        assert scene.is_in(State.READY)
        assert scene.engine_state.problem is None


async def test_run_load_that_goes_on_during_the_diagnosis_is_not_killed(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        scene.log.write_text("")
        scene.during_diagnosis = lambda: scene.log.write_text("shard 7\n")  # type: ignore[assignment]
        await scene.clock.advance(LIMITS.load_stall_s + 20)
        assert len(scene.diagnosed) == 1
        assert not task.done()
        await scene.clock.advance(2 * LIMITS.load_stall_s)
        assert task.result().label == "load_stalled"


# --- GPUs that show a hang -------------------------------------------------------------------

AT_WORK = GpuSample(0.0, 1.0, 0.33, 691.0)
SPINS = GpuSample(0.0, 1.0, 0.0, 124.0)
GPU_LIMITS = attrs.evolve(LIMITS, hang_s=10_000, gpu_stall_s=40)


async def works(scene: Scene, seconds: float) -> None:
    """Let steps be made at full use of the GPU, and be seen below that once."""
    scene.gpu, scene.gpu_busy = attrs.evolve(AT_WORK, busy=0.9), True
    await scene.clock.advance(5)
    scene.gpu = AT_WORK
    for n in range(int(seconds / 5)):
        scene.shows(scene.reading.ranks["0"].steps + n + 1, running=1)
        await scene.clock.advance(5)


def spins(scene: Scene) -> None:
    scene.gpu, began = SPINS, scene.clock.now

    def used() -> ProcessActivity:
        at = scene.clock.now
        core = ProcessUse(10, 5, at - began, 0)
        return ProcessActivity(0.0, at - began, 0, at=at, processes=(core,))

    scene.activity_now = used


def works_again(scene: Scene) -> None:
    scene.gpu = AT_WORK
    scene.clock.now += 3


async def test_run_kernel_that_spins_is_found_within_a_minute_and_looked_into(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ready=True, limits=GPU_LIMITS) as (scene, task):
        await works(scene, 60)
        spins(scene)
        await scene.clock.advance(15)
        assert scene.engine_state.no_step_s is not None
        assert 10 <= scene.engine_state.no_step_s <= 20
        await scene.clock.advance(45)
        assert task.done()
        assert task.result().label == "stalled"
        assert "GPU 0 is busy at 124 W and 0 % of its memory bus" in task.result().reason
        assert len(scene.diagnosed) == 1
        assert scene.looks == [False, False]
        assert scene.engine_state.known.work["hash"].learned


async def test_run_gpu_that_works_again_during_the_diagnosis_keeps_the_engine(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ready=True, limits=GPU_LIMITS) as (scene, task):
        await works(scene, 60)
        spins(scene)

        scene.during_diagnosis = partial(works_again, scene)
        await scene.clock.advance(120)
        assert len(scene.diagnosed) == 1
        assert not task.done()


async def test_run_alarm_that_the_last_look_clears_is_learned_by_progress_only(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path, ready=True, limits=GPU_LIMITS) as (scene, task):
        await works(scene, 60)
        work = scene.engine_state.known.work["hash"]
        before = work.longest_step_s
        spins(scene)
        ranks = scene.reading.ranks
        scene.fresh = FreshLook(PageAnswer.PAGE, ranks, answered=True, paused=True)
        await scene.clock.advance(60)
        assert scene.looks == [False]
        assert work.longest_step_s == before
        more = attrs.evolve(ranks["0"], steps=ranks["0"].steps + 1)
        scene.fresh = FreshLook(PageAnswer.PAGE, {"0": more}, answered=True)
        await scene.clock.advance(60)
        assert scene.looks == [False, False]
        assert work.longest_step_s >= GPU_LIMITS.gpu_stall_s
        assert work.longest_still_s >= GPU_LIMITS.gpu_stall_s
        assert not task.done()


async def test_run_gpu_that_is_seen_to_compute_keeps_an_engine_found_by_the_long_limit(
    tmp_path: Path,
) -> None:
    limits = attrs.evolve(GPU_LIMITS, hang_s=100)
    async with watching(tmp_path, ready=True, limits=limits) as (scene, task):
        await works(scene, 60)
        spins(scene)
        scene.gpu = None

        scene.during_diagnosis = partial(works_again, scene)
        await scene.clock.advance(300)
        assert len(scene.diagnosed) == 1
        assert not task.done()


async def test_run_long_prefill_and_a_gpu_without_power_get_the_long_limit(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True, limits=GPU_LIMITS) as (scene, task):
        await works(scene, 60)
        spins(scene)
        for shown in (AT_WORK, attrs.evolve(SPINS, watts=None), None):
            scene.gpu = shown
            await scene.clock.advance(600)
            assert not task.done()
        assert scene.is_in(State.READY)
        assert scene.looks == []
