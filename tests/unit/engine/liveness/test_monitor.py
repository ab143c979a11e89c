import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import spec
from tests.helpers.probes import ProbesOfATest
from tests.helpers.shims import FakeShim
from vllmd.config.model import LivenessConfig
from vllmd.engine.engine_state import EngineState
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.monitor import (
    EVIDENCE_S,
    LEFT_ALONE,
    LOADING_POLL_S,
    NOT_SEEN,
    SILENT_POLLS,
    LivenessMonitor,
    Stall,
)
from vllmd.engine.liveness.reading import (
    GpuSample,
    GpuTrace,
    PageAnswer,
    ProcessActivity,
    ProcessUse,
    RankProgress,
    Reading,
)
from vllmd.engine.process.run_state import Endpoint, Run
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.state_machine import State, Trigger
from vllmd.events.engine import (
    EngineCleared,
    EnginePhaseReached,
    EngineProblemFound,
    EngineStalled,
    IncidentFailed,
)
from vllmd.shim.protocol import RunRecord
from vllmd.util.loop_lag import LoopLag

LIMITS = LivenessConfig(stall_s=60, hang_s=300, load_stall_s=120, canary_every_s=30)
QUIET = ProcessActivity(10.0, 10.0, 1000)


class SceneGpus(EngineGpus):
    def __init__(self, scene: "Scene") -> None:
        self._scene = scene

    def busy(self) -> bool | None:
        return self._scene.gpu_busy

    def traces(self, since: float, until: float) -> tuple[GpuTrace, ...] | None:
        if self._scene.gpu is None:
            return None
        at = [since + n for n in range(1, int(until - since) + 1)]
        samples = tuple(attrs.evolve(self._scene.gpu, at=each) for each in at)
        return (GpuTrace("0", since, until, samples, frozenset({10})),)


class SceneProbes(ProbesOfATest):
    def __init__(self, scene: "Scene") -> None:
        self._scene = scene

    async def loading(self) -> bool:
        return self._scene.answers

    async def serving(self) -> Reading:
        return attrs.evolve(self._scene.reading, at=self._scene.clock.now)

    async def look_afresh(self, canary: bool) -> FreshLook:
        scene = self._scene
        scene.looks.append(canary)
        if scene.fresh is not None:
            return scene.fresh
        if not scene.answers:
            return FreshLook(PageAnswer.REFUSED)
        page = scene.reading.answer is PageAnswer.PAGE
        return FreshLook(scene.reading.answer, scene.reading.ranks, answered=page)

    def printing(self, run_id: str) -> str | None:
        return self._scene.printing if run_id == self._scene.run["run_id"] else None

    def owns_port(self, shim_pid: int) -> bool | None:
        return self._scene.owner

    def activity(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        return self._scene.activity_now() if self._scene.activity_now else self._scene.activity


class Scene:
    def __init__(
        self, directory: Path, limits: LivenessConfig, canary: bool, adopted: bool
    ) -> None:
        self.answers = False
        self.owner: bool | None = True
        self.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, 0, 0)})
        self.activity: ProcessActivity | None = QUIET
        self.activity_now: Callable[[], ProcessActivity] | None = None
        self.gpu_busy: bool | None = None
        self.gpu: GpuSample | None = None
        """What its GPU shows each second."""
        self.printing: str | None = None
        self.canaries: list[asyncio.Future[str | None]] = []
        self.diagnosed: list[str] = []
        self.fresh: FreshLook | None = None
        """What a fresh look shows, if not the same as the reading."""
        self.looks: list[bool] = []
        self.during_diagnosis: Callable[[], None] = lambda: None
        self.clock = FakeClock()
        self.engine_state = EngineState(
            "chat", self.clock, RestartStateFile(directory / "chat.json")
        )
        self.engine_state.spawned(
            Run("run-1", "hash", Endpoint("127.0.0.1", 8000, "m")), seen=not adopted
        )
        self.engine_state.to(Trigger.START)
        self.engine_state.to(Trigger.SPAWNED)
        self.run = FakeShim(spec(directory, ["x"])).run
        self.run["started_at"] = self.clock.time()
        self.log = Path(self.run["log"])
        self.probes = SceneProbes(self)
        if canary:
            self.probes.canary = self._canary
        self.watch = LivenessMonitor(
            self.engine_state,
            self.probes,
            LoopLag(self.clock),
            5.0,
            8000,
            limits,
            SceneGpus(self),
            self._diagnose,
            self._loaded,
        )
        self.loaded = 0

    def is_in(self, state: State) -> bool:
        return self.engine_state.state is state

    def shows(self, steps: float, running: float = 0, waiting: float = 0, **more: bool) -> None:
        ranks = {"0": RankProgress(steps, running, waiting)}
        self.reading = Reading(0.0, PageAnswer.PAGE, ranks, more.get("sleeping", False))

    def silent(self, answer: PageAnswer) -> None:
        self.reading = Reading(0.0, answer)

    async def _canary(self) -> str | None:
        self.canaries.append(asyncio.get_running_loop().create_future())
        return await self.canaries[-1]

    async def _diagnose(
        self, run: RunRecord, reason: str, used: ProcessActivity | None
    ) -> Path | None:
        self.diagnosed.append(reason)
        self.during_diagnosis()
        return Path("/incident")

    def _loaded(self) -> None:
        self.loaded += 1


@asynccontextmanager
async def watching(
    directory: Path,
    *,
    adopted: bool = False,
    ready: bool = False,
    limits: LivenessConfig = LIMITS,
    canary: bool = False,
) -> AsyncIterator[tuple[Scene, "asyncio.Task[Stall]"]]:
    scene = Scene(directory, limits, canary, adopted)
    scene.answers = ready
    task = asyncio.create_task(scene.watch.run(scene.run))
    await settle()
    try:
        yield scene, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- loading ---------------------------------------------------------------------------------


async def test_run_reads_phases_until_the_api_answers(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Starting to load model x...\n")
        await scene.clock.advance(LOADING_POLL_S)
        assert (scene.engine_state.state, scene.engine_state.phase) == (State.LOADING, "weights")
        scene.answers = True
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.is_in(State.READY)
        assert scene.engine_state.start_duration_s == 2 * LOADING_POLL_S
        assert scene.loaded == 1


async def test_run_phases_that_pass_within_one_poll_are_all_seen(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Starting to load model x...\nLoading weights took 0.01 seconds\n")
        with capture_logs() as logs:
            await scene.clock.advance(LOADING_POLL_S)
        reached = [e["phase"] for e in logs if e["event"] == EnginePhaseReached.name]
        assert reached == ["weights", "profile"]
        assert list(scene.engine_state.phases) == ["spawn", "weights", "profile"]


async def test_run_adopted_engine_has_no_start_duration(tmp_path: Path) -> None:
    async with watching(tmp_path, adopted=True, ready=True) as (scene, _):
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.is_in(State.READY)
        assert scene.engine_state.start_duration_s is None


async def test_run_foreign_server_on_the_port_is_not_ready(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.answers, scene.owner = True, False
        await scene.clock.advance(10)
        assert scene.is_in(State.LOADING)
        assert "port 8000 is answered by a process that is not this engine" in str(
            scene.engine_state.problem
        )
        scene.owner = None
        await scene.clock.advance(1)
        assert scene.is_in(State.READY)
        assert scene.engine_state.problem is None


async def test_span_ended_leads_to_a_phase_while_loading(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.watch.span_ended("Load weights", scene.clock.time(), failed=False)
        scene.watch.span_ended("Init device", 0.0, failed=False)  # they arrive out of order
        scene.watch.span_ended("llm_request", 0.0, failed=False)
        assert scene.engine_state.phase == "weights"


async def test_a_span_that_failed_leads_to_no_phase(tmp_path: Path) -> None:
    """Each span around the mistake ends with it, also those that end a start."""
    async with watching(tmp_path) as (scene, _):
        scene.watch.span_ended("Load weights", scene.clock.time(), failed=False)
        scene.watch.span_ended("EngineCoreProc init", scene.clock.time(), failed=True)
        assert scene.engine_state.phase == "weights"


async def test_a_start_that_says_that_it_fails_stays_in_its_phase(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Available KV cache memory: 1.84 GiB\nEngineCore failed to start.\n")
        await scene.clock.advance(LOADING_POLL_S)
        scene.watch.span_ended("EngineCoreProc init", scene.clock.time(), failed=False)
        scene.printing = "Capturing CUDA graphs (PIECEWISE):  12%|"
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.engine_state.phase == "kv_cache"
        assert scene.engine_state.start_left_s() is None


async def test_a_progress_bar_counts_while_it_runs(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Available KV cache memory: 45.94 GiB\n")
        await scene.clock.advance(LOADING_POLL_S)
        scene.printing = "Capturing CUDA graphs (PIECEWISE):   0%|          | 0/102"
        await scene.clock.advance(LOADING_POLL_S)
        assert scene.engine_state.phase == "graphs"


async def test_a_phase_that_is_told_at_its_end_began_before(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, _):
        scene.log.write_text("Model loading took 15.45 GiB and 2.253781 seconds\n")
        await scene.clock.advance(LOADING_POLL_S)
        await scene.clock.advance(14.0 - LOADING_POLL_S)
        with scene.log.open("a") as log:
            log.write("Dynamo bytecode transform time: 12.94 s\n")
        await scene.clock.advance(LOADING_POLL_S)
        took = scene.engine_state.phase_durations()
        assert took["profile"] == pytest.approx(14 - 12.94)
        assert took["compile"] == pytest.approx(12.94)


async def test_run_load_without_any_sign_of_life_is_stalled(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        await scene.clock.advance(10)
        await scene.clock.advance(LIMITS.load_stall_s + 10)
        assert scene.is_in(State.STALLED)
        assert task.result().label == "load_stalled"
        assert scene.diagnosed == [task.result().reason]
        assert "no line, no CPU and no byte moved" in task.result().reason


async def test_run_load_goes_on_as_long_as_it_shows_life_however_long(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        signs: list[Callable[[int], object]] = [
            lambda n: scene.log.write_text(f"{scene.log.read_text()}shard {n}\n"),
            lambda n: setattr(scene, "activity", ProcessActivity(10.0, 10.0 + 60 * n, 1000)),
            lambda n: setattr(scene, "activity", ProcessActivity(10.0, 10.0 + 60 * n, 10**9 * n)),
        ]
        scene.log.write_text("")
        for n in range(1, 60):
            signs[n % 3](n)
            await scene.clock.advance(LIMITS.load_stall_s * 0.8)
        assert not task.done()
        assert scene.is_in(State.LOADING)


async def test_run_load_whose_processes_only_wait_for_each_other_is_stalled(tmp_path: Path) -> None:
    async with watching(tmp_path) as (scene, task):
        scene.log.write_text("")
        for _ in range(4):
            with scene.log.open("a") as log:
                log.write("No available shared memory broadcast block found in 60 seconds.\n")
            await scene.clock.advance(60)
        assert task.done()


async def test_run_stalled_load_that_is_only_said_may_still_become_ready(tmp_path: Path) -> None:
    limits = attrs.evolve(LIMITS, restart_stalled=False)
    async with watching(tmp_path, limits=limits) as (scene, task):
        await scene.clock.advance(LIMITS.load_stall_s + 20)
        assert scene.is_in(State.STALLED)
        scene.answers = True
        await scene.clock.advance(1)
        assert scene.is_in(State.READY)
        assert not task.done()


# --- serving ---------------------------------------------------------------------------------


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

        def goes_on() -> None:
            scene.gpu = AT_WORK
            scene.clock.now += 3

        scene.during_diagnosis = goes_on
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

        def goes_on() -> None:
            scene.gpu = AT_WORK
            scene.clock.now += 3

        scene.during_diagnosis = goes_on
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
