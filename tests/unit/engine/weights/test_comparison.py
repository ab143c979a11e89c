"""A comparison of model files that takes long: whoever wants something else is heard at once."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs
import pytest

from tests.helpers.clock import quiet
from tests.helpers.kept_weights import KeptScene, other_settings, short_folder
from tests.helpers.scene import running
from vllmd.engine.operator_requests import OperatorRequests
from vllmd.engine.state_machine import State
from vllmd.engine.weights.contents import ContentsReading
from vllmd.engine.weights.freshness import Freshness
from vllmd.engine.weights.state import WeightsState
from vllmd.util.deadline import READ_S
from vllmd.util.within import run_within

T = TypeVar("T")


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as made:
        yield made


class SlowDisk:
    """Reads a model's files when a test says so."""

    def __init__(self, model: Path) -> None:
        self._model = str(model)
        self.waiting = 0
        self.asked = 0
        self.goes = asyncio.Event()

    async def within(self, path: str, work: Callable[[], T], _: float = READ_S, /) -> T:
        if path == self._model and "step" in getattr(work, "__name__", ""):
            self.asked += 1
            self.waiting += 1
            try:
                await self.goes.wait()
            finally:
                self.waiting -= 1
        return work()


@contextlib.asynccontextmanager
async def comparing(folder: Path) -> AsyncIterator[tuple[KeptScene, SlowDisk]]:
    """Have an engine that would start, whose model is being read."""
    scene = KeptScene(folder)
    disk = SlowDisk(scene.model)
    context = attrs.evolve(scene.settings.context, within=disk.within)
    scene.settings = attrs.evolve(scene.settings, context=context)
    scene.supervisor.configure(scene.settings)
    async with running(scene):
        following = asyncio.create_task(scene.keeper.follow())
        await scene.until(lambda: disk.waiting == 1)
        yield scene, disk
        following.cancel()
        scene.unbind()


def loading(scene: KeptScene) -> list[str]:
    return [name for name, _ in scene.load_slots.ahead_of("another", None)]


async def test_nobody_waits_for_it(folder: Path) -> None:
    async with comparing(folder) as (scene, disk):
        assert loading(scene) == [], "it takes no memory, so it is no load"
        disk.goes.set()
        await scene.loads()
        assert loading(scene) == ["chat"]


@pytest.mark.parametrize("wish", ["stop", "close", "leave", "dismiss"])
async def test_who_wants_no_start_is_heard_while_the_clock_stands_still(
    folder: Path, wish: str
) -> None:
    async with comparing(folder) as (scene, disk):
        getattr(scene.supervisor, wish)()
        await scene.until(lambda: disk.waiting == 0)
        if wish == "stop":
            await scene.until_state(State.STOPPED)
        else:
            assert scene.task is not None
            await scene.until(scene.task.done)
        assert (scene.weight_shims, scene.engine_shims, loading(scene)) == ([], [], [])


async def test_end_of_the_task_gives_it_up(folder: Path) -> None:
    async with comparing(folder) as (scene, disk):
        assert scene.task is not None
        scene.task.cancel()
        await scene.until(scene.task.done)
        await scene.until(lambda: disk.waiting == 0)


async def test_reload_with_other_weights_reads_for_those_and_without_any_reads_no_more(
    folder: Path,
) -> None:
    async with comparing(folder) as (scene, disk):
        other_settings(scene, "max_model_len = 99")
        await scene.until(lambda: (disk.asked, disk.waiting) == (2, 1))
        scene.text = scene.text.replace("preload = true", "preload = false")
        other_settings(scene, "")
        await scene.until(lambda: bool(scene.engine_shims))
        assert disk.waiting == 0
        assert scene.weight_shims == []


async def test_wish_that_changes_nothing_about_it_lets_it_go_on(folder: Path) -> None:
    async with comparing(folder) as (scene, disk):
        scene.supervisor.start()
        other_settings(scene, "max_num_seqs = 7")
        await quiet()
        assert (disk.asked, disk.waiting) == (1, 1)
        disk.goes.set()
        await scene.complete()
        assert "7" in scene.engine_shims[0].spec["argv"]


async def test_weights_that_are_in_memory_are_compared_before_the_turn_too(folder: Path) -> None:
    async with comparing(folder) as (scene, disk):
        disk.goes.set()
        await scene.complete()
        await scene.until_state(State.READY)
        disk.goes.clear()
        scene.supervisor.restart()
        await scene.passes_until(lambda: disk.waiting == 1, 0.5)
        assert loading(scene) == []
        assert scene.weights_state is WeightsState.READY
        scene.supervisor.stop()
        await scene.passes_until(lambda: scene.weights_state is WeightsState.ABSENT, 0.5)
        assert disk.waiting == 0


async def test_files_that_change_while_they_are_loaded_are_loaded_anew_and_no_engine_maps_them(
    folder: Path,
) -> None:
    async with comparing(folder) as (scene, disk):
        disk.goes.set()
        await scene.loads()
        (scene.model / "model.safetensors").write_bytes(b"2" * 100)
        for rank in range(2):
            scene.bind(rank)
        await scene.loads(2)
        assert scene.engine_shims == []
        await scene.complete(2)
        assert "ipc_cache" in scene.engine_shims[0].spec["argv"]


async def test_files_that_change_with_each_load_are_left_to_the_engine(folder: Path) -> None:
    async with comparing(folder) as (scene, disk):
        disk.goes.set()
        for number in range(1, 4):
            await scene.loads(number)
            (scene.model / "model.safetensors").write_bytes(bytes([number]) * 100)
            for rank in range(2):
                scene.bind(rank)
        await scene.passes_until(lambda: bool(scene.engine_shims), 0.5)
        assert scene.weights_state is WeightsState.ABSENT
        status = scene.keeper.status
        assert status is not None
        assert status.problem == "the model's files change with each load"
        assert list(scene.weight_shims[0].directory.glob("*.sock")) == []


async def test_thread_that_hangs_in_a_read_keeps_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, read, goes = KeptScene(folder), threading.Event(), threading.Event()

    def step(_: ContentsReading) -> bool:
        read.set()
        goes.wait(60)
        return True

    monkeypatch.setattr(ContentsReading, "step", step)
    context = attrs.evolve(scene.settings.context, within=run_within)
    requests, over = OperatorRequests(), False
    assert scene.command.weights is not None
    reading = Freshness().contents(scene.engine, scene.command.weights, context, whole=True)
    waiting = asyncio.create_task(requests.unless(lambda: over, reading))
    await scene.until(read.is_set)
    over = True
    requests.add()
    assert await waiting is None
    assert not goes.is_set()
    goes.set()
