"""Two data parallel ranks behind one API server, one of which does nothing any more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from tests.helpers.monitored import LIMITS, Scene, watching
from vllmd.engine import exits
from vllmd.engine.answers import Answers
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.liveness.fresh_look import FreshLook
from vllmd.engine.liveness.idle_time import OwnRequests
from vllmd.engine.liveness.monitor import Stall
from vllmd.engine.liveness.own_ranks import OwnRanks
from vllmd.engine.liveness.rank_probe import RanksToAsk
from vllmd.engine.liveness.reading import (
    PageAnswer,
    ProcessActivity,
    ProcessUse,
    RankProgress,
    Reading,
)
from vllmd.engine.state_machine import State
from vllmd.util.loop_lag import LoopLag

SAID = "rank 1 does nothing: a request for one token to it was not answered for"


class Ranks:
    """Rank 0 answers; what rank 1 gets is never answered while it is `dead`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.steps = [1.0, 1.0]
        self.running = [0, 0]
        self.asked: list[int] = []
        self.dead = True
        self._answer = asyncio.Event()
        scene.probes.ranks = RanksToAsk(2, self._ask, self._heeds)
        self.show()

    async def _ask(self, rank: int | None) -> str | None:
        assert rank is not None
        self.asked.append(rank)
        if rank == 1 and self.dead:
            await self._answer.wait()
        self.steps[rank] += 1
        self.show()
        return None

    async def _heeds(self, count: int) -> bool | None:
        return count == 2

    def answer(self) -> None:
        self.dead = False
        self._answer.set()

    def show(self, *, sleeping: bool = False) -> None:
        ranks = {str(r): RankProgress(self.steps[r], self.running[r], 0) for r in (0, 1)}
        self.scene.reading = Reading(0.0, PageAnswer.PAGE, ranks, sleeping)


@asynccontextmanager
async def served(
    folder: Path, **limits: bool
) -> AsyncIterator[tuple[Scene, Ranks, "asyncio.Task[Stall]"]]:
    async with watching(folder, ready=True, limits=attrs.evolve(LIMITS, **limits)) as made:
        scene, task = made
        ranks = Ranks(scene)
        scene.activity_now = lambda: used(scene.clock.now)
        yield scene, ranks, task


def used(at: float, cpu_s: float = 1.0, moved: int = 0) -> ProcessActivity:
    """Of a core that has used so much."""
    core = ProcessUse(11, 10, cpu_s, moved)
    return ProcessActivity(1.0, cpu_s, moved, at=at, processes=(core,))


async def test_rank_that_does_nothing_while_its_gpus_are_idle_is_ended_in_time(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (scene, _, task):
        scene.idle_ranks = frozenset({1})
        await scene.clock.advance(75)
        assert task.done()
        assert task.result().label == exits.STALLED
        assert SAID in task.result().reason
        assert SAID in scene.diagnosed[0], "its stacks are taken first"


async def test_rank_that_may_be_busy_is_told_of_within_a_minute_and_ended_by_hang_s(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (scene, _, task):
        await scene.clock.advance(60)
        assert SAID in str(scene.engine_state.rank_doubt)
        assert scene.is_in(State.READY)
        await scene.clock.advance(LIMITS.hang_s - 70)
        assert not task.done()
        await scene.clock.advance(30)
        assert task.done()


async def test_rank_in_a_long_prefill_is_left_to_who_sees_its_gpus(tmp_path: Path) -> None:
    """No step of it shows, only its request: the detector judges that, with what GPUs prove."""
    async with served(tmp_path) as (scene, ranks, task):
        task.cancel()
        own = OwnRanks(LoopLag(scene.clock), Answers(), lambda: None)
        for running, ends in ((1, False), (0, True)):
            ranks.running = [0, running]
            ranks.show()
            found = None
            for _ in range(int(LIMITS.hang_s / 5) + 30):
                reading = attrs.evolve(scene.reading, at=scene.clock.now)
                found = own.look(scene.probes.ranks, reading, LIMITS, EngineGpus())
                await scene.clock.advance(5)
            assert SAID in str(own.doubt)
            assert (found is not None) is ends
        own.close()


async def test_rank_whose_own_gpus_are_not_idle_has_until_hang_s(tmp_path: Path) -> None:
    async with served(tmp_path) as (scene, _, task):
        scene.idle_ranks = frozenset({0})
        await scene.clock.advance(LIMITS.hang_s - 20)
        assert not task.done()


@pytest.mark.parametrize("does", ["compiles", "reads"])
async def test_rank_that_works_beside_idle_gpus_has_until_hang_s(tmp_path: Path, does: str) -> None:
    """A first request has kernels compiled, or an adapter is read from a slow disk."""
    async with served(tmp_path) as (scene, _, task):
        scene.idle_ranks, began = frozenset({1}), scene.clock.now

        def works() -> ProcessActivity:
            seconds = scene.clock.now - began
            cpu_s, moved = (seconds, 0) if does == "compiles" else (0.0, int(seconds * 1e6))
            return used(scene.clock.now, cpu_s, moved)

        scene.activity_now = works
        await scene.clock.advance(LIMITS.hang_s - 20)
        assert not task.done()
        assert not scene.looks
        scene.activity_now = lambda: used(scene.clock.now, 1e4, 10**12)
        await scene.clock.advance(60)
        assert task.done()


async def test_rank_that_is_said_to_be_paused_is_looked_at_again_after_the_limit_only(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (scene, _, task):
        scene.idle_ranks = frozenset({1})
        scene.fresh = FreshLook(PageAnswer.PAGE, scene.reading.ranks, answered=True, paused=True)
        await scene.clock.advance(300)
        assert not task.done()
        assert 2 <= len(scene.looks) <= 5


async def test_rank_that_makes_steps_is_busy_however_long_our_request_waits(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as (scene, ranks, task):
        for _ in range(100):
            ranks.steps[1] += 1
            ranks.show()
            await scene.clock.advance(5)
        assert not task.done()
        assert scene.engine_state.rank_doubt is None


async def test_rank_that_answers_before_it_is_ended_is_not(tmp_path: Path) -> None:
    async with served(tmp_path) as (scene, ranks, task):
        scene.idle_ranks = frozenset({1})
        scene.during_diagnosis = ranks.answer
        await scene.clock.advance(120)
        assert scene.diagnosed
        assert not task.done()
        assert scene.is_in(State.READY)
        assert scene.engine_state.problem is None


async def test_with_restart_stalled_false_it_turns_red_and_green_again(tmp_path: Path) -> None:
    async with served(tmp_path, restart_stalled=False) as (scene, ranks, task):
        scene.idle_ranks = frozenset({1})
        await scene.clock.advance(120)
        assert scene.is_in(State.STALLED)
        assert len(scene.diagnosed) == 1
        ranks.answer()
        await scene.clock.advance(10)
        assert scene.is_in(State.READY)
        assert not task.done()


async def test_what_ranks_are_asked_is_no_request_of_a_client(tmp_path: Path) -> None:
    async with served(tmp_path) as (scene, ranks, _):
        ranks.dead = False
        idle_s = scene.engine_state.idle.seconds
        ranks.show()
        await scene.clock.advance(300)
        assert len(ranks.asked) >= 20
        now = scene.engine_state.idle.seconds
        assert now is not None
        assert idle_s is None or now - idle_s >= 290
        assert now >= 290
        ranks.steps[0] += 1
        ranks.show()
        await scene.clock.advance(10)
        assert scene.engine_state.idle.seconds is not None
        assert scene.engine_state.idle.seconds <= 10, "a client's step is seen beside"


async def test_request_that_waits_is_not_shown_until_it_is_slow(tmp_path: Path) -> None:
    async with served(tmp_path) as (scene, ranks, _):
        await scene.clock.advance(10)
        ranks.running = [0, 1]
        ranks.show()
        await scene.clock.advance(5)
        assert scene.engine_state.requests == (0, 0)
        await scene.clock.advance(30)
        shown = set()
        for _ in range(4):  # rank 0 is asked meanwhile
            await scene.clock.advance(5)
            shown.add(scene.engine_state.requests)
        assert (1, 0) in shown, "nobody is to take it for idle now"


async def test_nothing_is_asked_while_it_sleeps_or_shows_no_counts(tmp_path: Path) -> None:
    async with served(tmp_path) as (scene, ranks, task):
        await scene.clock.advance(10)
        ranks.show(sleeping=True)
        await scene.clock.advance(5)
        before = len(ranks.asked)
        await scene.clock.advance(LIMITS.hang_s * 2)
        scene.reading = Reading(0.0, PageAnswer.PAGE)
        await scene.clock.advance(LIMITS.hang_s * 2)
        assert len(ranks.asked) == before
        assert not task.done()


async def test_engine_of_one_rank_is_not_asked(tmp_path: Path) -> None:
    async with served(tmp_path) as (scene, ranks, _):
        await scene.clock.advance(10)
        scene.probes.ranks = None
        before = len(ranks.asked)
        await scene.clock.advance(100)
        assert len(ranks.asked) == before
        assert scene.engine_state.rank_doubt is None


@pytest.mark.parametrize("heeded", [True, False, None])
async def test_question_whether_ranks_are_heeded_is_no_request_of_a_client(
    tmp_path: Path, heeded: bool | None
) -> None:
    async with served(tmp_path) as (scene, ranks, task):
        task.cancel()
        ranks.show()
        asked, answer = asyncio.Event(), asyncio.Event()

        async def heeds(_: int) -> bool | None:
            asked.set()
            await answer.wait()
            return heeded

        own = OwnRanks(LoopLag(scene.clock), Answers(), lambda: None)
        assert scene.probes.ranks is not None
        to_ask = attrs.evolve(scene.probes.ranks, heeds=heeds)

        def look() -> OwnRequests:
            own.look(to_ask, attrs.evolve(scene.reading, at=scene.clock.now), LIMITS, EngineGpus())
            return own.own

        assert look() == OwnRequests(0, 0)
        await scene.clock.advance(1)
        assert asked.is_set()
        assert look() == OwnRequests(1, 1)
        answer.set()
        await scene.clock.advance(1)
        assert look().steps == (heeded is False)
        own.close()
