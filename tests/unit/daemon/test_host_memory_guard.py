import asyncio
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.gpus import G1, GpuScene
from tests.helpers.make import status
from vllmd.daemon.host_memory_guard import SELDOM_S, HostMemoryGuard
from vllmd.engine.state_machine import State
from vllmd.engine.status import EngineStatus
from vllmd.errors import HeldError
from vllmd.events.gpu import GpuHostMemoryLow
from vllmd.gpu.memory_shares import Owner
from vllmd.util.units import GIB


class PlayedSupervisor:
    def __init__(self, name: str, scene: GpuScene) -> None:
        self.name, self.scene = name, scene
        self.done: list[str] = []
        self.held = False

    @property
    def status(self) -> EngineStatus:
        return self.scene.engines[self.name]

    def restart(self) -> None:
        if self.held:
            raise HeldError("it would not start again")
        self.done.append("restart")
        self.scene.becomes(self.name, State.DRAINING)

    def stop(self) -> None:
        self.done.append("stop")

    async def saved(self) -> None:
        self.done.append("saved")


class GuardScene:
    """A host of 100 GiB whose first GPU shares its memory, with two engines."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpus = GpuScene(folder, monkeypatch)
        record = {**self.gpus.device(G1, 0), "unified": True}
        self.gpus.say("devices", devices=[record])
        for name in ("chat", "code"):
            self.gpus.becomes(name, State.READY)
        self.gpus.holds((G1, 10, 50, Owner.ENGINE, "chat"), (G1, 20, 20, Owner.ENGINE, "code"))
        self.chat = PlayedSupervisor("chat", self.gpus)
        self.code = PlayedSupervisor("code", self.gpus)
        self.floor = 0.02
        both = {"chat": self.chat, "code": self.code}
        self.guard = HostMemoryGuard(
            self.gpus.gpus,
            lambda: both,  # type: ignore[arg-type,return-value]
            lambda: self.floor,
            self.gpus.clock,
        )

    async def has(self, gib: float, seconds: int = 5) -> None:
        """Let so much be available for so long."""
        for _ in range(seconds):
            self.gpus.clock.now += 1
            self.gpus.fast(memory_free_bytes=gib * GIB, memory_total_bytes=100.0 * GIB)
            assert await self.guard.look()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GuardScene:
    return GuardScene(tmp_path, monkeypatch)


async def test_engine_that_holds_most_is_restarted_once_and_told(scene: GuardScene) -> None:
    with capture_logs() as logs:
        await scene.has(2.1)
        await scene.has(1.9, 10)
    assert (scene.chat.done, scene.code.done) == (["restart"], [])
    (told,) = [each for each in logs if each["event"] == GpuHostMemoryLow.name]
    assert (told["engine"], told["remedy"]) == ("chat", "restart")
    assert told["floor_bytes"] == 2 * GIB


async def test_engine_that_brings_it_about_again_is_stopped(scene: GuardScene) -> None:
    await scene.has(1)
    scene.gpus.becomes("chat", State.READY)
    await scene.has(30)
    await scene.has(1, 4)
    assert scene.chat.done == ["restart", "stop", "saved"]


async def test_engine_that_would_not_start_again_is_stopped_until_the_next_daemon(
    scene: GuardScene,
) -> None:
    scene.chat.held = True
    await scene.has(1, 4)
    assert scene.chat.done == ["stop"]


async def test_engine_that_loads_is_restarted_each_time_and_never_stopped(
    scene: GuardScene,
) -> None:
    for _ in range(3):
        scene.gpus.becomes("chat", State.LOADING)
        await scene.has(30)
        await scene.has(1, 4)
    assert scene.chat.done == ["restart"] * 3


async def test_engines_that_hold_nothing_are_left_alone_and_that_is_told_once(
    scene: GuardScene,
) -> None:
    scene.gpus.holds((G1, 30, 90, Owner.FOREIGN, None))
    with capture_logs() as logs:
        await scene.has(1, 10)
    assert (scene.chat.done, scene.code.done) == ([], [])
    assert [e["remedy"] for e in logs if e["event"] == GpuHostMemoryLow.name] == ["none"]


async def test_one_low_reading_that_is_given_out_for_seconds_counts_once(
    scene: GuardScene,
) -> None:
    await scene.has(1, 1)
    for _ in range(4):
        scene.gpus.clock.now += 1
        assert await scene.guard.look()
    assert scene.chat.done == []


async def test_what_was_read_while_an_engine_ended_ends_no_other(scene: GuardScene) -> None:
    await scene.has(1, 10)
    scene.gpus.becomes("chat", State.STOPPED, run_id=None)
    for _ in range(4):
        scene.gpus.clock.now += 1
        assert await scene.guard.look()
    await scene.has(30)
    assert (scene.chat.done, scene.code.done) == (["restart"], [])


async def test_engine_that_does_not_run_is_left_alone_and_the_low_memory_is_told_once(
    scene: GuardScene,
) -> None:
    for name in ("chat", "code"):
        scene.gpus.engines[name] = attrs.evolve(status(name), state=State.HELD)
    with capture_logs() as logs:
        await scene.has(1, 10)
    assert (scene.chat.done, scene.code.done) == ([], [])
    (told,) = [each for each in logs if each["event"] == GpuHostMemoryLow.name]
    assert told["remedy"] == "none"


async def test_floor_of_zero_turns_it_off(scene: GuardScene) -> None:
    scene.floor = 0.0
    await scene.has(0.0)
    assert scene.chat.done == []


async def test_gpu_with_memory_of_its_own_may_be_full(scene: GuardScene) -> None:
    scene.gpus.say("devices", devices=[scene.gpus.device(G1, 0)])
    assert not await scene.guard.look()
    running = asyncio.create_task(scene.guard.run())
    await scene.gpus.clock.advance(SELDOM_S + 1)
    assert not running.done()
    running.cancel()
