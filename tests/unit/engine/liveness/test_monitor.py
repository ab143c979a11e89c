import asyncio
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.helpers.monitored import LIMITS, watching
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.monitor import (
    EVIDENCE_S,
    NOT_SEEN,
    SILENT_POLLS,
)
from vllmd.engine.liveness.reading import (
    PageAnswer,
    RankProgress,
    Reading,
)
from vllmd.engine.state_machine import State
from vllmd.events.engine import (
    EngineProblemFound,
    EngineStalled,
    IncidentFailed,
)


async def test_run_silence_must_last_and_ends(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, _):
        scene.activity = None
        scene.silent(PageAnswer.NONE)
        await scene.clock.advance(5.0 * (SILENT_POLLS - 1))
        assert scene.is_in(State.READY)
        await scene.clock.advance(5.0)
        assert scene.is_in(State.UNREACHABLE)
        await scene.clock.advance(50)
        scene.shows(1)
        await scene.clock.advance(5.0)
        assert scene.is_in(State.READY)


@pytest.mark.parametrize(
    ("answer", "owner", "state"),
    [
        (PageAnswer.PAGE, True, State.READY),
        (PageAnswer.PAGE, None, State.READY),
        (PageAnswer.PAGE, False, State.UNREACHABLE),
        (PageAnswer.REFUSED, True, State.UNREACHABLE),
        (PageAnswer.NONE, True, State.READY),
        (PageAnswer.UNKNOWN, True, State.READY),
    ],
)
async def test_look_first_says_at_once_what_is_sure(
    tmp_path: Path, answer: PageAnswer, owner: bool | None, state: State
) -> None:
    async with watching(tmp_path, ready=True) as (scene, _):
        assert scene.is_in(State.READY)
        if answer is not PageAnswer.PAGE:
            scene.silent(answer)
        scene.owner = owner
        await scene.watch.look_first(scene.run)
        assert scene.is_in(state)


async def test_run_sleep_is_a_state_of_its_own(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        scene.shows(1, sleeping=True)
        await scene.clock.advance(3600)
        assert scene.is_in(State.SLEEPING)
        scene.shows(1)
        await scene.clock.advance(5)
        assert scene.is_in(State.READY)
        assert not task.done()


async def test_run_counts_requests_in_flight(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, _):
        scene.shows(2, running=3, waiting=4)
        await scene.clock.advance(5)
        assert scene.engine_state.requests == (3, 4)
        scene.silent(PageAnswer.NONE)
        await scene.clock.advance(5)
        assert scene.engine_state.requests == (3, 4)  # late for once, under load
        await scene.clock.advance(5.0 * SILENT_POLLS)
        assert scene.engine_state.requests is None


async def test_run_standing_still_with_work_is_stalled_within_the_limit(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        scene.shows(2, running=1)
        await scene.clock.advance(5)
        with capture_logs() as logs:
            await scene.clock.advance(LIMITS.stall_s + 10)
        assert scene.is_in(State.STALLED)
        assert task.result().label == "stalled"
        assert "no engine step with 1 running" in task.result().reason
        assert "used no CPU" in task.result().reason
        assert EngineStalled.name in [entry["event"] for entry in logs]
        assert len(scene.diagnosed) == 1


async def test_run_evidence_that_a_disk_keeps_does_not_keep_an_engine_that_hangs(
    tmp_path: Path,
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    async with watching(tmp_path, ready=True) as (scene, task):
        scene.watch.diagnose = hang
        scene.shows(2, running=1)
        with capture_logs() as logs:
            await scene.clock.advance(LIMITS.stall_s + 15)
            assert not task.done()
            await scene.clock.advance(LIMITS.diagnose_s + EVIDENCE_S)
        assert task.result().label == "stalled"
        (failed,) = [each for each in logs if each["event"] == IncidentFailed.name]
        assert "does a disk hang?" in failed["problem"]


async def test_run_mistake_in_the_evidence_does_not_keep_an_engine_that_hangs(
    tmp_path: Path,
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async with watching(tmp_path, ready=True) as (scene, task):
        scene.watch.diagnose = fail
        scene.shows(2, running=1)
        await scene.clock.advance(LIMITS.stall_s + 15)
        assert task.result().label == "stalled"


async def test_run_busy_gpu_is_work_until_the_long_limit(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        scene.gpu_busy = True
        scene.shows(2, running=1)
        await scene.clock.advance(LIMITS.hang_s - 10)
        assert scene.is_in(State.READY)
        await scene.clock.advance(25)
        assert task.done()


async def test_run_progress_during_the_diagnosis_saves_the_engine(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        scene.shows(2, running=1)
        scene.during_diagnosis = lambda: scene.shows(3, running=1)
        await scene.clock.advance(LIMITS.stall_s + 15)
        assert len(scene.diagnosed) == 1
        assert scene.is_in(State.READY)
        assert not task.done()


async def test_run_stall_that_is_only_said_ends_with_progress(tmp_path: Path) -> None:
    limits = attrs.evolve(LIMITS, restart_stalled=False)
    async with watching(tmp_path, ready=True, limits=limits) as (scene, task):
        scene.shows(2, running=1)
        await scene.clock.advance(3600)
        assert scene.is_in(State.STALLED)
        assert len(scene.diagnosed) == 1
        scene.shows(3, running=1)
        await scene.clock.advance(5)
        assert scene.is_in(State.READY)
        assert scene.engine_state.problem is None
        assert not task.done()


async def test_run_stall_that_is_only_said_is_not_over_because_nothing_answers(
    tmp_path: Path,
) -> None:
    limits = attrs.evolve(LIMITS, restart_stalled=False)
    async with watching(tmp_path, ready=True, limits=limits) as (scene, task):
        scene.shows(2, running=1)
        await scene.clock.advance(LIMITS.stall_s + 20)
        assert scene.is_in(State.STALLED)
        scene.silent(PageAnswer.NONE)
        for _ in range(SILENT_POLLS - 1):
            await scene.clock.advance(5)
            assert scene.is_in(State.STALLED)
        await scene.clock.advance(5)
        assert scene.is_in(State.UNREACHABLE)
        assert not task.done()


async def test_run_core_that_hangs_at_rest_is_found_by_the_canary_only(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True, canary=True) as (scene, task):
        await scene.clock.advance(LIMITS.canary_every_s + 10)
        assert len(scene.canaries) == 1
        assert scene.engine_state.requests == (0, 0)
        await scene.clock.advance(LIMITS.stall_s + 10)
        assert task.result().label == "stalled"
        assert "rank canary" in task.result().reason


async def test_run_canary_that_is_answered_proves_an_idle_engine(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True, canary=True) as (scene, task):
        for n in range(1, 20):
            await scene.clock.advance(LIMITS.canary_every_s + 10)
            scene.canaries[-1].set_result(None)
            scene.shows(1 + n)
            await scene.clock.advance(5)
        assert not task.done()
        assert scene.is_in(State.READY)
        await scene.clock.advance(LIMITS.canary_every_s + 10)
        scene.canaries[-1].set_result("HTTP 401")
        await scene.clock.advance(5)
        assert "HTTP 401" in str(scene.engine_state.problem)


# --- our own lateness ----------------------------------------------------------------------------


async def test_run_time_in_which_nobody_could_look_does_not_count(tmp_path: Path) -> None:
    async with watching(tmp_path, ready=True) as (scene, task):
        scene.activity = None
        scene.reading = Reading(0.0, PageAnswer.UNKNOWN, problem="[Errno 24] Too many open files")
        with capture_logs() as logs:
            await scene.clock.advance(10 * LIMITS.hang_s)
        assert scene.is_in(State.READY)
        assert scene.looks == []
        assert scene.engine_state.problem == NOT_SEEN + "[Errno 24] Too many open files"
        assert [entry["event"] for entry in logs].count(EngineProblemFound.name) == 1
        for answer in (
            *(PageAnswer.NONE, PageAnswer.UNKNOWN) * (SILENT_POLLS - 1),
            PageAnswer.NONE,
        ):
            assert scene.is_in(State.READY)
            scene.silent(answer)
            await scene.clock.advance(5)
            assert scene.engine_state.problem is None  # it could look again
        assert scene.is_in(State.UNREACHABLE)  # neither forgotten nor counted
        assert scene.engine_state.problem is None
        assert not task.done()


READINGS = st.one_of(
    st.sampled_from([PageAnswer.NONE, PageAnswer.REFUSED, PageAnswer.UNKNOWN]).map(
        lambda a: Reading(0.0, a)
    ),
    st.builds(
        lambda steps, running, sleeping: Reading(
            0.0, PageAnswer.PAGE, {"0": RankProgress(steps, running, 0)}, sleeping
        ),
        st.integers(0, 2),
        st.integers(0, 1),
        st.booleans(),
    ),
)


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(READINGS, st.sampled_from([5.0, 70.0])), max_size=20),
    st.sampled_from([1.0, 60.0]),
    st.booleans(),
    st.sampled_from(list(PageAnswer)),
)
def test_no_sequence_of_readings_leads_out_of_the_table(
    steps: list[tuple[Reading, float]], stall_s: float, acts: bool, fresh: PageAnswer
) -> None:
    async def play() -> None:
        limits = attrs.evolve(LIMITS, stall_s=stall_s, restart_stalled=acts)
        with tempfile.TemporaryDirectory() as folder:
            async with watching(Path(folder), ready=True, limits=limits) as (scene, task):
                for reading, seconds in steps:
                    scene.reading = reading
                    scene.fresh = FreshLook(fresh, reading.ranks, answered=fresh is PageAnswer.PAGE)
                    was = scene.engine_state.state
                    await scene.clock.advance(seconds)
                    if task.done():
                        task.result()  # or it raises what broke it
                        break
                    if scene.is_in(State.READY) and was is not State.READY:
                        assert PageAnswer.PAGE in (reading.answer, fresh)

    asyncio.run(play())
