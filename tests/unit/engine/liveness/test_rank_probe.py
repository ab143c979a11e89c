import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.helpers.clock import FakeClock, settle
from vllmd.engine.liveness.rank_probe import EVERY_S, RankProbes
from vllmd.engine.liveness.reading import RankProgress
from vllmd.util.loop_lag import LoopLag


class Ranks:
    """Two ranks; those in `dead` answer nothing."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.probes = RankProbes(2, LoopLag(self.clock))
        self.asked: list[int] = []
        self.dead: set[int] = set()
        self.steps = {0: 1.0, 1: 1.0}
        self.serves = True
        self.idle = True
        self.heeded: bool | None = True
        self.asked_whether = 0
        self._task = asyncio.ensure_future(
            self.probes.run(self.ask, self.heeds, lambda: self.serves)
        )

    async def ask(self, rank: int) -> str | None:
        self.asked.append(rank)
        if rank in self.dead:
            await asyncio.Event().wait()
        self.steps[rank] += 1
        return None

    async def heeds(self, count: int) -> bool | None:
        assert count == 2
        self.asked_whether += 1
        return self.heeded

    async def live(self, seconds: float) -> None:
        """Let time pass; a page is read every five seconds."""
        for _ in range(int(seconds // 5)):
            await self.clock.advance(5)
            shown = {str(r): RankProgress(n, 0, 0) for r, n in self.steps.items()}
            self.probes.saw(shown, self.clock.monotonic(), lambda _: self.idle)

    @property
    def hung(self) -> int | None:
        """The rank that hangs."""
        found = self.probes.hung()
        return None if found is None else found[0]

    def close(self) -> None:
        self._task.cancel()


@pytest.fixture
async def ranks() -> AsyncIterator[Ranks]:
    made = Ranks()
    await settle()
    yield made
    made.close()


async def test_ranks_that_answer_are_asked_again_and_never_hung(ranks: Ranks) -> None:
    await ranks.live(300)
    assert ranks.hung is None
    assert 2 * 300 / (EVERY_S + 10) <= len(ranks.asked) <= 2 * 300 / EVERY_S + 2


async def test_rank_that_does_nothing_is_seen_within_a_minute(ranks: Ranks) -> None:
    await ranks.live(60)
    ranks.dead.add(1)
    await ranks.live(60)
    assert ranks.hung == 1


async def test_rank_that_works_for_others_is_not_asked_until_it_rests(ranks: Ranks) -> None:
    await ranks.live(60)
    ranks.asked.clear()
    for _ in range(60):
        ranks.steps[1] += 3
        await ranks.live(5)
    assert ranks.asked.count(1) <= 1
    assert ranks.asked.count(0) >= 300 / (EVERY_S + 10)
    ranks.asked.clear()
    ranks.dead.add(1)
    await ranks.live(60)
    assert ranks.hung == 1


async def test_rank_that_makes_steps_is_busy(ranks: Ranks) -> None:
    ranks.dead.add(1)
    for _ in range(60):
        await ranks.live(5)
        ranks.steps[1] += 1
        assert ranks.hung is None


async def test_rank_without_a_page_is_not_judged(ranks: Ranks) -> None:
    ranks.dead.add(1)
    await ranks.clock.advance(600)
    assert ranks.hung is None


async def test_nothing_is_asked_while_it_does_not_serve(ranks: Ranks) -> None:
    ranks.dead.add(1)
    await ranks.live(30)
    ranks.serves = False
    before = len(ranks.asked)
    await ranks.live(100)
    assert len(ranks.asked) == before
    assert ranks.hung is None


async def test_rank_of_busy_gpus_has_as_long_as_a_prefill(ranks: Ranks) -> None:
    """One that is only overloaded may make no step for a while, and answers late."""
    ranks.dead.add(1)
    ranks.idle = False
    await ranks.live(ranks.probes.hang_s - 10)
    assert ranks.hung is None
    await ranks.live(60)
    assert ranks.hung == 1


async def test_rank_is_not_judged_by_idle_gpus_that_are_not_to_be_considered(ranks: Ranks) -> None:
    ranks.dead.add(1)
    ranks.probes.idle_s = 0
    await ranks.live(300)
    assert ranks.hung is None


async def test_time_of_which_there_is_no_page_does_not_count(ranks: Ranks) -> None:
    ranks.dead.add(1)
    await ranks.live(25)
    await ranks.clock.advance(600)
    assert ranks.hung is None
    await ranks.live(5)
    assert ranks.hung is None


async def test_ranks_of_an_engine_that_does_not_heed_the_header_are_not_asked(ranks: Ranks) -> None:
    """Any of them may get the request: nothing follows of whose steps stand."""
    ranks.serves = False
    await ranks.live(5)
    ranks.asked.clear()
    ranks.heeded, ranks.serves = False, True
    ranks.dead.add(1)
    whether = ranks.asked_whether
    await ranks.live(ranks.probes.hang_s + 60)
    assert (ranks.asked, ranks.asked_whether - whether) == ([], 1)
    assert ranks.hung is None
    ranks.heeded, ranks.serves = True, False
    await ranks.live(5)
    ranks.serves = True
    await ranks.live(10)
    assert sorted(ranks.asked) == [0, 1], "the next run may be another vLLM"


async def test_whether_the_header_is_heeded_is_asked_again_until_it_shows(ranks: Ranks) -> None:
    ranks.serves = False
    await ranks.live(5)
    ranks.asked.clear()
    ranks.heeded, ranks.serves = None, True
    whether = ranks.asked_whether
    await ranks.live(60)
    assert ranks.asked == []
    assert 3 <= ranks.asked_whether - whether <= 60 / EVERY_S + 1
    ranks.heeded = True
    await ranks.live(30)
    assert set(ranks.asked) == {0, 1}
