"""The series that a screen needs: taken from pages as they are read, and from GPUs in between."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Any

from vllmd.scrape.page import Page
from vllmd.status.load import read_load
from vllmd.status.ring import STEP_S, Ring
from vllmd.status.window import FRESH_S, LoadNow, LoadWindow
from vllmd.util.clock import Clock, until_tick
from vllmd.util.parts import Part

GPU_SERIES = ("memory_used_bytes", "busy_ratio", "power_watts")
GpuValues = Callable[[], Mapping[str, Mapping[str, float]]]
"""Returns what each GPU shows now, by UUID and `Row.key`."""


class SeriesRecorder:
    """Ten minutes of a few figures of each engine and GPU, in memory."""

    def __init__(
        self, clock: Clock, gpu_values: GpuValues, ask_versions: Callable[[], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._gpu_values = gpu_values
        self._ask_versions = ask_versions
        self._names: frozenset[str] = frozenset()
        self._engines: dict[str, LoadWindow] = {}
        self._gpus: dict[str, Ring] = {}
        self._fresh_s = FRESH_S

    def configure(self, names: Collection[str], poll_s: float) -> None:
        """Keep the engines of these names; their pages are read so often, in seconds."""
        self._fresh_s = max(FRESH_S, 3 * poll_s)
        self._names = frozenset(names)
        self._engines = {n: window for n, window in self._engines.items() if n in names}

    def parts(self) -> Iterator[Part]:
        """Yield what is to run: it looks at the GPUs, and asks engines for their versions."""
        yield Part("series", self._run)

    async def _run(self) -> None:
        while True:
            self.look_at_gpus()
            await self._ask_versions()
            await self._clock.sleep(until_tick(self._clock, STEP_S))

    def look_at_gpus(self) -> None:
        """Take a point of each GPU; one that is gone is forgotten."""
        now, shown = self._clock.monotonic(), self._gpu_values()
        self._gpus = {uuid: self._gpus.get(uuid) or Ring(GPU_SERIES) for uuid in shown}
        for uuid, values in shown.items():
            self._gpus[uuid].add(now, [values.get(name) for name in GPU_SERIES])

    def page_read(self, engine: str, page: Page) -> None:
        """Take what a page says, if the last one is some seconds old and the engine configured."""
        if engine not in self._names:  # it drains, and was forgotten
            return
        window = self.window(engine)
        if window.is_due(page.read_at):
            window.add(page.read_at, read_load(page.families), self._fresh_s)

    def window(self, engine: str) -> LoadWindow:
        """Return what is kept of an engine."""
        return self._engines.setdefault(engine, LoadWindow())

    def load(self, engine: str) -> LoadNow:
        """Return an engine's load now."""
        window = self._engines.get(engine)
        return window.now(self._clock.monotonic(), self._fresh_s) if window else LoadNow()

    def is_fresh(self, engine: str) -> bool:
        """Tell whether an engine's page was read lately."""
        window = self._engines.get(engine)
        return window is not None and window.is_fresh(self._clock.monotonic(), self._fresh_s)

    def to_json(self) -> dict[str, Any]:
        """Return the series of all engines by name, of all GPUs by UUID."""
        now, wall = self._clock.monotonic(), self._clock.time()
        to_wall_s = wall - now
        return {
            "engines": {n: dict(w.to_json(now, to_wall_s)) for n, w in self._engines.items()},
            "gpus": {u: dict(ring.to_json(now, to_wall_s)) for u, ring in self._gpus.items()},
        }
