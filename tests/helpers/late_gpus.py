"""The GPU of a simulated engine: read by a process that is on time, heard of by a loop that is not.

The reader sends a line each second. What the loop is too late to take waits in the pipe, up to what
it holds; then the reader waits, too, and those seconds are read by nobody. A sample has the time at
which it was taken off the pipe, as in the daemon.
"""

import asyncio
import random
from collections import deque

from tests.helpers.late_loop import VirtualLoop
from tests.helpers.simulated_engine import SimulatedEngine
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.reading import GpuTrace
from vllmd.gpu.recent_samples import RecentSamples

UUID = "GPU-0"
PIPE_LINES = 30
"""So many lines of a host of eight GPUs are in 64 KiB."""
BLIND_RATIO = 0.002
"""How often the reader misses a reading, by itself."""


class LateGpus(EngineGpus):
    """What a supervisor may ask of the one GPU of an engine."""

    def __init__(self, dice: random.Random, engine: SimulatedEngine, loop: VirtualLoop) -> None:
        self._dice = dice
        self._engine = engine
        self._loop = loop
        self._samples = RecentSamples()
        self.idle_watts = dice.uniform(25, 130)
        self.work_watts = self.idle_watts * dice.uniform(1.6, 5)
        self.work_bus = dice.choice([0.0, 0.01, 0.1, 0.3, 0.6])
        self.tells = dice.random() < 0.9
        self._blind_until = 0.0

    async def read(self) -> None:
        """Take the reader's lines off the pipe, for ever."""
        due, pipe = self._loop.now, deque[dict[str, float]]()
        while True:
            while due <= self._loop.now:
                if len(pipe) < PIPE_LINES and due >= self._blind_until:
                    pipe.append(self._read_at(due))
                if self._dice.random() < BLIND_RATIO:
                    self._blind_until = due + self._dice.uniform(2, 90)
                due += 1.0
            while pipe:
                self._samples.take(self._loop.now, {UUID: pipe.popleft()})
            await asyncio.sleep(max(0.0, due - self._loop.now))

    def _read_at(self, at: float) -> dict[str, float]:
        idle, noise = self.idle_watts, self._dice.uniform(0.99, 1.01)
        busy, bus, watts = {
            "idle": (0.0, 0.0, idle),
            "light": (self._dice.uniform(0, 0.9), 0.0, idle * 1.1),
            "spin": (1.0, 0.0, idle * 1.04),
            "work": (1.0, self.work_bus, self.work_watts),
        }[self._engine.gpu_at(at)]
        if not self.tells:
            return {"busy_ratio": busy}
        return {"busy_ratio": busy, "memory_bus_busy_ratio": bus, "power_watts": watts * noise}

    def traces(self, since: float, until: float) -> tuple[GpuTrace, ...] | None:
        """Return what it showed, as far as the loop has heard of it."""
        samples = self._samples.since(UUID, since)
        return (GpuTrace("0", since, until, samples, frozenset({self._engine.CORE})),)
