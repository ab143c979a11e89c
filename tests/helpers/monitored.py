"""A monitor that follows one engine, whose API, processes, GPU and clock a test holds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from tests.helpers.clock import FakeClock, settle
from tests.helpers.make import spec
from tests.helpers.probes import ProbesOfATest
from tests.helpers.shims import FakeShim
from vllmd.config.model import LivenessConfig
from vllmd.engine.engine_state import EngineState
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.monitor import (
    LivenessMonitor,
    Stall,
)
from vllmd.engine.liveness.reading import (
    GpuSample,
    GpuTrace,
    PageAnswer,
    ProcessActivity,
    RankProgress,
    Reading,
)
from vllmd.engine.process.run_state import Endpoint, Run
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.state_machine import State, Trigger
from vllmd.shim.protocol import RunRecord
from vllmd.util.loop_lag import LoopLag

LIMITS = LivenessConfig(stall_s=60, hang_s=300, load_stall_s=120, canary_every_s=30)
QUIET = ProcessActivity(10.0, 10.0, 1000)


class SceneGpus(EngineGpus):
    def __init__(self, scene: "Scene") -> None:
        self._scene = scene

    def busy(self) -> bool | None:
        return self._scene.gpu_busy

    def idle_ranks(self) -> frozenset[int]:
        return self._scene.idle_ranks

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
        self.idle_ranks: frozenset[int] = frozenset()
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
