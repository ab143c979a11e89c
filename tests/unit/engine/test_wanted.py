from collections.abc import Mapping
from pathlib import Path

import attrs

from tests.helpers.scene import Scene, running
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.reading import ProcessActivity, ProcessUse
from vllmd.engine.state_machine import State


async def test_is_wanted_until_it_is_stopped_or_the_daemon_ends(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        assert scene.supervisor.is_wanted
        scene.supervisor.stop()
        assert not scene.supervisor.is_wanted
        scene.supervisor.start()
        assert scene.supervisor.is_wanted
        scene.supervisor.dismiss()
        assert not scene.supervisor.is_wanted
        scene.supervisor.keep()
        assert scene.supervisor.is_wanted


async def test_has_served_is_of_this_run(tmp_path: Path) -> None:
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        assert scene.supervisor.has_served
        await scene.spawner.last.end(1)
        await scene.until_state(State.BACKOFF)
        assert not scene.supervisor.has_served


class _IdleGpus(EngineGpus):
    """Two ranks, whose GPUs are idle."""

    def busy(self) -> bool | None:
        return False

    def idle_ranks(self) -> frozenset[int]:
        return frozenset({0, 1})

    def rank_pids(self) -> Mapping[int, frozenset[int]]:
        return {0: frozenset({10}), 1: frozenset({11})}


async def test_rank_that_works_beside_idle_gpus_is_told_as_one_that_may_be_busy(
    tmp_path: Path,
) -> None:
    """The head of a group would end it for doing nothing, although it compiles or reads."""
    async with running(Scene(tmp_path)) as scene:
        await scene.until_state(State.READY)
        idle = attrs.evolve(scene.settings.context, gpu=_IdleGpus())
        scene.supervisor.configure(attrs.evolve(scene.settings, context=idle))
        told = []
        for cpu_s in (0.0, 0.0, 5.0):
            processes = ProcessUse(10, 9, 0.0, 0), ProcessUse(11, 9, cpu_s, 0)
            at = scene.clock.now
            scene.used = ProcessActivity(0.0, cpu_s, 0, at=at, processes=processes)
            of_it = scene.supervisor.gpus_busy, scene.supervisor.idle_ranks
            assert of_it == (scene.supervisor.gpus_busy, scene.supervisor.idle_ranks)
            told.append(of_it)
            await scene.clock.advance(5)
        assert told == [(None, frozenset()), (False, {0, 1}), (None, {0})]
