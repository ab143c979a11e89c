"""Any sequence of what can happen to weights: what holds in each of them, whatever the order.

States: absent, loading, ready, incomplete, ending, unresponsive. What may come in each: a start, a
stop, a reload that takes preload away or brings it back, other files, the engine's death, the death
of the shim, its silence and its voice, ranks that go, another daemon, time.
"""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.helpers.kept_weights import KeptScene, other_settings, short_folder
from tests.helpers.shims import FakeShim, end_processes
from vllmd.engine.process import shim_client
from vllmd.engine.weights.state import WeightsState

EVENTS = (
    *("start", "stop", "stop and keep", "preload off", "preload on", "other files"),
    *("engine dies", "shim dies", "shim is silent", "shim speaks", "hangs up", "ranks go"),
    *("another daemon", "time"),
)


class World:
    """A host with one engine, over several daemons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        self.preload = True
        self.loaded: dict[str, bytes] = {}
        """What each run of weights has in memory, by its id."""
        self.spawned = 0
        self.shims: list[FakeShim] = []
        self.begin()

    def begin(self) -> None:
        self.scene = KeptScene(self.folder)
        if not self.preload:
            self.scene.text = self.scene.text.replace("preload = true", "preload = false")
            other_settings(self.scene, "")
        self.seen = 0
        self.tasks = [
            asyncio.create_task(self.scene.supervisor.run()),
            asyncio.create_task(self.scene.keeper.follow()),
        ]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.scene.supervisor.detach()

    @property
    def weights(self) -> FakeShim | None:
        found = [s for s in self.shims if s.spec["argv"][1] == "preload" and s.is_listening]
        return found[-1] if found else None

    @property
    def model(self) -> Path:
        return self.scene.model / "model.safetensors"

    async def passes(self, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            await self.scene.passes(0.5, 0.5)
            self.look()

    def look(self) -> None:
        """Note what was begun, let loads complete, and hold the rule of every engine's start."""
        for shim in self.scene.spawner.shims[self.seen :]:
            self.shims.append(shim)
            self.seen += 1
            if shim.spec["argv"][1] == "preload":
                self.loaded[shim.spec["run_id"]] = self.model.read_bytes()
                for rank in range(2):
                    self.scene.bind(rank)
            elif "ipc_cache" in shim.spec["argv"]:
                sockets = list((self.folder / "weights" / "chat").glob("*.sock"))
                handed_out = any("weight_cache" in each.name for each in sockets)
                kept = self.weights
                if kept is not None and handed_out:
                    run = self.scene.keeper.run
                    assert run is not None, "an engine maps what nobody knows of"
                    assert run["run_id"] == kept.spec["run_id"]
                    assert self.loaded[kept.spec["run_id"]] == self.model.read_bytes(), "stale"

    async def happens(self, event: str) -> None:
        supervisor, kept = self.scene.supervisor, self.weights
        engines = [s for s in self.shims if s.spec["argv"][1] == "serve" and s.is_listening]
        if event == "start":
            supervisor.start()
        elif event.startswith("stop"):
            supervisor.stop(keep_weights=event == "stop and keep")
        elif event.startswith("preload"):
            self.preload = event == "preload on"
            on, off = "preload = true", "preload = false"
            before, after = (off, on) if self.preload else (on, off)
            self.scene.text = self.scene.text.replace(before, after)
            other_settings(self.scene, "")
        elif event == "other files":
            self.version += 1
            self.model.write_bytes(b"%d" % self.version * 50)
        elif event == "engine dies" and engines:
            await engines[-1].end(1)
        elif event == "another daemon":
            await self.scene.supervisor.saved()
            await self.end()
            last = self.scene
            self.begin()
            self.scene.goes_on_from(last)
        elif event == "time":
            await self.passes(30)
        elif kept is not None:
            await self._of_weights(event, kept)
        await self.passes(2)

    async def _of_weights(self, event: str, kept: FakeShim) -> None:
        if event == "shim dies":
            self.scene.unbind()
            kept.vanish()
        elif event in ("shim is silent", "shim speaks"):
            kept.is_silent = event == "shim is silent"
        elif event == "hangs up":
            kept.hang_up()
        elif event == "ranks go":
            self.scene.unbind()

    async def rests(self) -> None:
        """Hold what must be true once it is stopped for good and all answers."""
        if self.weights is not None:
            self.weights.is_silent = False
        self.scene.supervisor.stop()
        for _ in range(40):
            await self.passes(10)
            if self.weights is None and self.scene.keeper.state is WeightsState.ABSENT:
                return
        pytest.fail(f"weights are left after a stop: {self.scene.keeper.status}")


async def play(events: list[str]) -> None:
    end_processes()
    with short_folder() as folder:
        world = World(folder)
        try:
            await world.passes(5)
            for event in events:
                await world.happens(event)
            await world.rests()
        finally:
            await world.end()
            world.scene.unbind()
            for shim in world.shims:
                if shim.is_listening:
                    shim.vanish()


@pytest.mark.long
@settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(["other files", "engine dies", "time"])
@example(["shim is silent", "hangs up", "engine dies", "time", "time"])
@example(["stop and keep", "another daemon", "preload off"])
@given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=7))
def test_no_engine_maps_stale_weights_and_none_are_left_after_a_stop(events: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shim_client, "ANSWER_TIMEOUT_S", 0.05)
        asyncio.run(play(events))
