"""One supervised engine whose shim, API and clock a test holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from tests.helpers.ports import free_port
from tests.helpers.probes import ProbesOfATest
from tests.helpers.shims import FakeSpawner
from tests.helpers.sleep_routes import FakeRoutes
from vllmd.config import command
from vllmd.engine.assembly import EngineSettings
from vllmd.engine.context import EngineContext
from vllmd.engine.gpu_interface import EngineGpus, Shortage
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.reading import PageAnswer, ProcessActivity, RankProgress, Reading
from vllmd.engine.restart.load_slots import LoadSlots
from vllmd.engine.sleeping.host_memory import WeightsMemory
from vllmd.engine.sleeping.turns import Turns
from vllmd.engine.state_machine import State
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.engine.supervisor import Supervisor
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.units import GIB

PATIENCE_S = 30.0
"""The machine may be busy."""


class _SceneGpus(EngineGpus):
    def __init__(self, scene: "Scene") -> None:
        self._scene = scene

    def fine(self) -> bool | None:
        return self._scene.gpu_fine

    def shortage(self) -> Shortage | None:
        return self._scene.shortage

    async def holders(self) -> list[str] | None:
        return self._scene.holders

    def memory_bytes(self) -> int | None:
        return self._scene.gpu_bytes

    async def fresh_memory_bytes(self) -> int | None:
        return self._scene.gpu_bytes_asleep

    def mismatch(self) -> str | None:
        return self._scene.mismatch

    def seen(self, since: float) -> Mapping[str, str]:
        return self._scene.seen


class _SceneProbes(ProbesOfATest):
    def __init__(self, scene: "Scene") -> None:
        self._scene = scene
        self.sleep_routes = scene.routes  # type: ignore[assignment]

    async def loading(self) -> bool:
        for probe in self._scene.probes:
            await probe()
        return self._scene.answers

    async def serving(self) -> Reading:
        if self._scene.page_answer is not None:
            return Reading(self._scene.clock.now, self._scene.page_answer)
        answer = PageAnswer.PAGE if await self.loading() else PageAnswer.NONE
        return attrs.evolve(self._scene.reading, at=self._scene.clock.now, answer=answer)

    async def look_afresh(self, canary: bool) -> FreshLook:
        now = await self.serving()
        return FreshLook(now.answer, now.ranks, answered=now.answer is PageAnswer.PAGE)

    def activity(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        return self._scene.used

    def forget(self) -> None:
        self._scene.forgotten += 1


class Scene:
    """One supervised engine whose shim, API and clock a test holds."""

    def __init__(
        self,
        folder: Path,
        text: str = "",
        *,
        start_nothing: str | None = None,
        port: int | None = None,
        on_disk: DiskWork = at_once,
        restart: str = "initial_s = 4, max_s = 16, max_failures = 6",
        model: str = "m",
        name: str = "chat",
        beside: "Scene | None" = None,
    ) -> None:
        """Make it; `beside` is another engine of the same daemon."""
        self.engine = engine(
            f"port = {port or free_port()}\nunready_s = 0\ndrain_s = 3\nstop_grace_s = 7\n{text}\n"
            f"restart = {{ {restart} }}",
            model,
            name,
        )
        self.command = command.build(self.engine, run=folder)
        self.directory = folder / "engines" / name
        self.clock: FakeClock = beside.clock if beside else FakeClock()
        self.spawner = FakeSpawner()
        self.stopped = StoppedEngines(folder / "stopped.json", "boot")
        self.answers = True
        self.reading = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1, 0, 0)})
        self.used: ProcessActivity | None = None
        self.forgotten = 0
        self.probes: list[Callable[[], Awaitable[bool]]] = []
        self.load_slots = LoadSlots()
        self.turns: Turns = beside.turns if beside else Turns()
        self.host_bytes = 1024 * GIB
        self.host_memory: WeightsMemory = (
            beside.host_memory if beside else WeightsMemory(lambda _: self.host_bytes)
        )
        self.gpu_fine: bool | None = None
        self.shortage: Shortage | None = None
        self.seen: dict[str, str] = {}
        self.holders: list[str] = []
        self.mismatch: str | None = None
        self.routes = FakeRoutes()
        self.gpu_bytes: int | None = None
        self.gpu_bytes_asleep: int | None = None
        self.page_answer: PageAnswer | None = None
        """What comes of the question for its page, if not what `answers` says."""
        self.settings = EngineSettings(
            self.engine,
            self.command,
            EngineContext(
                directory=self.directory,
                log_path=folder / f"{name}.log",
                state_dir=folder / "state",
                spawner=self.spawner,
                stopped=self.stopped,
                load_slots=self.load_slots,
                turns=self.turns,
                host_memory=self.host_memory,
                clock=self.clock,
                poll_s=5.0,
                chance=lambda: 0.0,
                on_disk=on_disk,
                gpu=_SceneGpus(self),
            ),
            _SceneProbes(self),
            start_nothing,
        )
        self.supervisor = Supervisor(self.settings)
        self.task: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        return self.supervisor.status.state

    def takes(self, text: str) -> None:
        """Read the configuration again; `text` is what the engine's table has now."""
        new = engine(f"port = {self.engine.port}\nunready_s = 0\ndrain_s = 3\n{text}")
        self.supervisor.configure(attrs.evolve(self.settings, engine=new))

    async def passes(self, seconds: float, step_s: float = 15.0) -> None:
        """Move the clock on, slowly enough for what is asked over sockets."""
        for _ in range(int(seconds / step_s)):
            await self.clock.advance(step_s)
            await asyncio.sleep(0.001)

    async def leaves(self, state: State) -> float:
        """Let time pass until it is in another state; returns how long that took, by the clock."""
        began = self.clock.now
        await self.passes_until(lambda: self.state is not state, 15)
        return self.clock.now - began

    async def passes_until(self, condition: Callable[[], bool], step_s: float = 1.0) -> None:
        """Let time pass, a step at a time, until something is so."""
        for _ in range(2000):
            if condition():
                return
            await self.passes(step_s, step_s)
        pytest.fail(f"not reached; {self.supervisor.status}")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let real sockets do their work; the clock stands still."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if condition():
                return
            await asyncio.sleep(0.001)
        pytest.fail(f"not reached; {self.supervisor.status}")

    async def until_state(self, state: State) -> None:
        """Wait for a state; for that after a failure until its pause has begun, too."""
        paused = self.supervisor
        await self.until(
            lambda: (
                self.state is state
                and (state is not State.BACKOFF or paused.status.next_start_at is not None)
            )
        )


@asynccontextmanager
async def running(scene: Scene, *, keep: bool = False) -> AsyncIterator[Scene]:
    """Run its supervisor; at the end its shims vanish, unless they are kept for the next one."""
    scene.task = asyncio.create_task(scene.supervisor.run())
    try:
        yield scene
    finally:
        scene.task.cancel()
        await asyncio.gather(scene.task, return_exceptions=True)
        scene.supervisor.detach()
        for shim in () if keep else scene.spawner.shims:
            shim.vanish()
