"""Each way in which an engine can lose its weights, in each state in which it can be."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from tests.helpers.kept_weights import KeptScene, kept, other_settings, short_folder
from vllmd.engine.gpu_interface import Shortage
from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


@asynccontextmanager
async def in_state(folder: Path, state: str) -> AsyncIterator[KeptScene]:
    """Have an engine whose weights are in memory in some state."""
    async with kept(folder) as scene:
        await scene.complete()
        await scene.until_state(State.READY)
        shim = scene.engine_shims[-1]
        if state == "stopped, kept":
            scene.supervisor.stop(keep_weights=True)
            await scene.until_state(State.STOPPED)
        elif state == "held":
            scene.mismatch = "the driver was changed"
            await shim.end(1)
            await scene.passes_until(lambda: scene.state is State.HELD, 0.5)
        elif state == "backoff":
            await shim.end(1)
            await scene.until_state(State.BACKOFF)
        elif state == "waits for room":
            scene.shortage = Shortage("0", 2**30, ("engine other: 9 GiB",), True)
            await shim.end(1)
            await scene.passes_until(
                lambda: scene.supervisor.status.awaited_memory is not None, 0.5
            )
        assert scene.weights_state is WeightsState.READY
        yield scene


STATES = ("ready", "stopped, kept", "held", "backoff", "waits for room")


def take_out(scene: KeptScene, way: str) -> None:
    if way == "preload is turned off":
        scene.text = scene.text.replace("preload = true", "preload = false")
        other_settings(scene, "")
    else:
        getattr(scene.supervisor, way)()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("way", ["leave", "dismiss", "close", "preload is turned off"])
async def test_weights_are_ended_unless_an_engine_runs_on_with_them(
    folder: Path, state: str, way: str
) -> None:
    async with in_state(folder, state) as scene:
        shim = scene.weight_shims[0]
        take_out(scene, way)
        if state == "ready" and way in ("leave", "preload is turned off"):
            await scene.passes(60, 0.5)
            assert shim.stops == []
            assert scene.engine_shims[-1].stops == []
            return
        await scene.passes_until(lambda: bool(shim.stops), 0.5)
        await scene.passes_until(lambda: scene.weights_state in (WeightsState.ABSENT, None), 0.5)
        if way != "preload is turned off":
            assert scene.task is not None
            await scene.until(scene.task.done)
        assert len(scene.weight_shims) == 1, "nobody loads them again"


@pytest.mark.parametrize("state", ["stopped, kept", "held", "backoff"])
async def test_configuration_that_cannot_be_used_takes_none_away(folder: Path, state: str) -> None:
    """Whether such an engine is to have weights is not known."""
    async with in_state(folder, state) as scene:
        scene.settings = attrs.evolve(scene.settings, start_nothing="line 3")
        take_out(scene, "preload is turned off")
        await scene.passes(60, 0.5)
        assert scene.weight_shims[0].stops == []


async def test_engine_that_left_before_it_was_looked_for_keeps_its_weights(folder: Path) -> None:
    """It may run: who looks for what is not configured any more ends them if it does not."""
    async with in_state(folder, "ready") as scene:
        scene.supervisor.detach()
        again = KeptScene(folder)
        again.supervisor.leave()
        await asyncio.wait_for(again.supervisor.run(), 30)
        assert scene.weight_shims[0].stops == []


async def test_engine_that_is_wanted_again_while_its_weights_end_loads_them_anew(
    folder: Path,
) -> None:
    async with in_state(folder, "stopped, kept") as scene:
        shim = scene.weight_shims[0]
        shim.exits_when_stopped = False
        scene.supervisor.leave()
        await scene.passes_until(lambda: bool(shim.stops), 0.5)
        scene.supervisor.keep()
        scene.supervisor.start()
        await shim.end(0, requested=True)
        await scene.complete(2)
        await scene.until_state(State.READY)
