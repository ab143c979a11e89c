"""A dead rank, and a host that nothing comes from."""

import asyncio

import pytest

from tests.helpers.clock import settle
from tests.helpers.grouped import CUT_OFF, HOSTS, Grouped, Network
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading


async def heeds(count: int) -> bool | None:
    assert count == 2
    return True


@pytest.mark.parametrize(("busy", "idle"), [(False, True), (True, False), (None, False)])
async def test_saw_ranks_are_idle_where_their_own_host_says_so(
    busy: bool | None, idle: bool
) -> None:
    made = Grouped(mode="data")
    await made.serving()
    made.own[1].gpus_busy = busy
    made.own[0].gpus_busy = True
    made.hear(0, 1)
    assert made.head.ranks is not None
    probes = made.head.ranks.probes
    never = asyncio.Event()

    async def ask(rank: int) -> str | None:
        await never.wait()
        return None

    asking = asyncio.ensure_future(probes.run(ask, heeds, lambda: True))
    await settle()
    for _ in range(20):
        await made.clock.advance(5)
        shown = {str(rank): RankProgress(1, 0, 0) for rank in range(2)}
        made.head.saw(Reading(made.clock.monotonic(), PageAnswer.PAGE, shown))
    hung = probes.hung()
    assert (hung is not None and hung[0] == 1) is idle
    asking.cancel()


@pytest.mark.long
@pytest.mark.parametrize("mode", ["tensor", "data"])
async def test_a_host_that_cannot_be_reached_is_there_while_steps_need_it(
    mode: str, network: Network
) -> None:
    """Its port may be closed by a firewall: what serves says more than what does not answer."""
    made = Grouped(mode=mode)
    generation = await made.serving()
    made.head.peers[1].look({HOSTS[1]})
    ending = asyncio.ensure_future(made.head.until_end(generation))
    for turn in range(300):
        await made.head.peers[1].ask(CUT_OFF, "")
        made.clock.now += 10
        shown = {str(rank): RankProgress(turn, 0, 0) for rank in range(2)}
        made.head.saw(Reading(made.clock.monotonic(), PageAnswer.PAGE, shown))
        made.head.decide()
        assert made.head.status().red is None
    stands = {"0": RankProgress(turn + 1, 0, 0), "1": RankProgress(turn, 0, 0)}
    for _ in range(70):
        made.clock.now += 10
        made.head.saw(Reading(made.clock.monotonic(), PageAnswer.PAGE, stands))
        made.head.decide()
    await settle()
    assert ending.done(), "rank 0 needs the other host only for its last step"
    assert (await ending).lost == HOSTS[1]


@pytest.mark.long
@pytest.mark.parametrize("answers", [True, False])
async def test_a_quiet_engine_is_asked_once_before_it_is_ended_for_a_host(
    answers: bool, network: Network
) -> None:
    made, asked, steps = Grouped(), [], 1
    generation = await made.serving()
    made.head.peers[1].look({HOSTS[1]})

    async def ask(rank: int | None) -> str | None:
        nonlocal steps
        asked.append((rank, made.clock.now))
        if not answers:
            await asyncio.Event().wait()
        steps += 1
        return None

    made.head.use_probe(ask, heeds)
    assert made.head.ranks is not None
    asking = asyncio.ensure_future(made.head.ranks.run())
    ending = asyncio.ensure_future(made.head.until_end(generation))
    began = made.clock.now
    for _ in range(70):
        await made.head.peers[1].ask(CUT_OFF, "")
        await made.clock.advance(10)
        shown = {"0": RankProgress(steps, 0, 0)}
        made.head.saw(Reading(made.clock.monotonic(), PageAnswer.PAGE, shown))
        made.head.decide()
        await settle()
    assert [rank for rank, _ in asked] == [None]
    assert asked[0][1] - began >= 500
    assert ending.done() is not answers
    ending.cancel()
    asking.cancel()


async def test_quiet_engine_is_asked_though_the_host_that_does_not_answer_still_asks(
    network: Network,
) -> None:
    """What is cut in one direction alone may hang as well: a stall shows by a request alone."""
    made, asked = Grouped(), []
    await made.serving()
    made.head.peers[1].look({HOSTS[1]})

    async def ask(rank: int | None) -> str | None:
        asked.append(rank)
        await asyncio.Event().wait()
        return None

    made.head.use_probe(ask, heeds)
    assert made.head.ranks is not None
    asking = asyncio.ensure_future(made.head.ranks.run())
    for _ in range(60):
        await made.head.peers[1].ask(CUT_OFF, "")
        made.clock.now += 9
        made.head.asked_by(HOSTS[1])
        made.head.decide()
    assert asked == []
    await made.clock.advance(60)
    assert asked == [None]
    assert made.head.status().red is None
    asking.cancel()


async def dead_rank(made: Grouped, seconds: float, idle: bool) -> None:
    """Have rank 1 do nothing for so long, while all others are busy."""
    made.own[1].gpus_busy, made.own[0].gpus_busy = True, True
    made.own[1].idle_ranks = frozenset({1} if idle else {})
    assert made.head.ranks is not None
    never = asyncio.Event()

    async def ask(rank: int | None) -> str | None:
        if rank == 1:
            await never.wait()
        return None

    made.head.use_probe(ask, heeds)
    asking = asyncio.ensure_future(made.head.ranks.run())
    for turn in range(round(seconds / 5)):
        await made.clock.advance(5)
        made.hear(0, 1)
        shown = {str(r): RankProgress(1 if r == 1 else turn, 0, 0) for r in range(2)}
        made.head.saw(Reading(made.clock.monotonic(), PageAnswer.PAGE, shown))
        made.head.decide()
        await settle()
    asking.cancel()


async def test_a_dead_rank_among_busy_ones_is_ended_within_a_minute_of_its_idle_gpus() -> None:
    made = Grouped(mode="data")
    generation = await made.serving()
    ending = asyncio.ensure_future(made.head.until_end(generation))
    await dead_rank(made, 60, idle=True)
    assert ending.done()
    assert "rank 1" in (await ending).reason


async def test_a_dead_rank_whose_gpus_are_not_known_is_told_of_within_a_minute() -> None:
    made = Grouped(mode="data")
    generation = await made.serving()
    ending = asyncio.ensure_future(made.head.until_end(generation))
    await dead_rank(made, 60, idle=False)
    assert not ending.done()
    assert "rank 1" in str(made.head.status().doubt)
    assert made.head.status().red is None
    ending.cancel()


@pytest.mark.parametrize(
    ("cut", "asks", "reached"),
    [(False, False, True), (None, False, False), (True, False, False), (True, True, True)],
)
async def test_a_dead_rank_of_a_host_whose_page_cannot_be_read_is_ended_unless_it_is_cut_off(
    cut: bool | None, asks: bool, reached: bool, network: Network
) -> None:
    """A host that asks this one itself is cut off in one direction alone, and is no more waited
    for."""
    network.cut = cut
    made = Grouped(mode="data")
    generation = await made.serving()
    ending = asyncio.ensure_future(made.head.until_end(generation))
    made.head.peers[1].look({HOSTS[1]})
    assert made.head.ranks is not None
    made.head.ranks.probes.hang_s = 60

    async def ask(rank: int | None) -> str | None:
        if rank == 1:
            await asyncio.Event().wait()
        return None

    made.head.use_probe(ask, heeds)
    asking = asyncio.ensure_future(made.head.ranks.run())
    for _ in range(30):
        await made.head.peers[1].ask(CUT_OFF, "")
        await made.clock.advance(5)
        if asks:
            made.head.asked_by(HOSTS[1])
        stands = {str(r): RankProgress(1, 0, 0) for r in range(2)}
        made.head.saw(Reading(made.clock.monotonic(), PageAnswer.PAGE, stands))
        made.head.decide()
        await settle()
    assert ending.done() is reached
    asking.cancel()
    ending.cancel()


async def test_a_head_whose_vllm_does_not_heed_the_header_has_no_dead_rank() -> None:
    made, asked = Grouped(mode="data"), []
    await made.serving()
    assert made.head.ranks is not None

    async def ask(rank: int | None) -> str | None:
        asked.append(rank)
        return None

    async def refuses(count: int) -> bool | None:
        return False

    made.head.use_probe(ask, refuses)
    asking = asyncio.ensure_future(made.head.ranks.run())
    await made.clock.advance(120)
    assert asked == []
    asking.cancel()
