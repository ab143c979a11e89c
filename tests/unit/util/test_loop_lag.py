import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.helpers.clock import FakeClock, settle
from vllmd.util.loop_lag import EVERY_S, TOLERANCE_S, WINDOW_S, LoopLag


@asynccontextmanager
async def measuring() -> AsyncIterator[tuple[FakeClock, LoopLag]]:
    clock = FakeClock()
    lag = LoopLag(clock)
    task = asyncio.create_task(lag.run())
    await settle()
    try:
        yield clock, lag
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def stop(clock: FakeClock, seconds: float) -> None:
    """Let time pass in which nothing runs, as while the process is stopped."""
    clock.now += seconds


async def test_watched_goes_on_with_a_loop_that_is_on_time() -> None:
    async with measuring() as (clock, lag):
        began = lag.watched()
        await clock.advance(3600)
        assert lag.watched() - began == pytest.approx(3600)
        assert lag.late_s() == 0


async def test_watched_stands_still_while_the_loop_is_late() -> None:
    async with measuring() as (clock, lag):
        await clock.advance(10)
        began = lag.watched()
        stop(clock, 500)
        unseen = lag.watched() - began  # asked before the tick that is due has run
        assert unseen < EVERY_S + TOLERANCE_S + 0.001
        await clock.advance(0)
        assert lag.watched() - began == pytest.approx(unseen)
        await clock.advance(10)
        assert lag.watched() - began == pytest.approx(unseen + 10)


async def test_it_is_served_before_all_that_is_due_with_it() -> None:
    async with measuring() as (clock, lag):
        await clock.advance(0.5)
        seen: list[float] = []

        async def busy() -> None:
            await clock.sleep(1.5)  # begun before the tick that is due then
            seen.append(lag._due or 0.0)

        task = asyncio.create_task(busy())
        await clock.advance(1.5)
        await task
    assert seen == [pytest.approx(clock.now + EVERY_S)]


async def test_watched_while_nobody_measures_is_the_clock() -> None:
    clock = FakeClock()
    lag = LoopLag(clock)
    stop(clock, 500)
    assert (lag.watched(), lag.late_s()) == (clock.now, 0)
    task = asyncio.create_task(lag.run())
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stop(clock, 500)
    assert lag.late_s() == 0


async def test_late_s_is_the_worst_of_the_last_minute() -> None:
    async with measuring() as (clock, lag):
        for stopped_s in (5, 30, 2):
            stop(clock, stopped_s)
            assert lag.late_s() >= stopped_s - EVERY_S - TOLERANCE_S
            await clock.advance(3)
        assert 30 - EVERY_S - TOLERANCE_S <= lag.late_s() <= 30
        await clock.advance(WINDOW_S - 4)
        assert 0 < lag.late_s() <= 2
        await clock.advance(5)
        assert lag.late_s() == 0


async def test_run_short_stops_are_seen_once_one_was() -> None:
    """Stops of less than a second between two ticks of a second would be seen in part only."""
    async with measuring() as (clock, lag):
        began, watched_from = clock.now, lag.watched()
        for _ in range(100):
            stop(clock, 0.7)
            await clock.advance(0.4)
        assert clock.now - began == pytest.approx(110)
        assert 40 <= lag.watched() - watched_from < 65


async def test_run_wakes_once_a_second_while_all_is_well() -> None:
    async with measuring() as (clock, _):
        await clock.advance(600)
        assert len(clock.slept) <= 601


async def test_wait_what_is_ready_late_is_taken() -> None:
    async with measuring() as (clock, lag):
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(lag.wait(answer, 5))
        await clock.advance(1)
        stop(clock, 60)
        await clock.advance(0)  # the deadline is over by the clock, and was not watched
        assert not waiting.done()
        answer.set_result(1)
        assert await waiting


async def test_wait_ends_after_so_much_watched_time() -> None:
    async with measuring() as (clock, lag):
        waiting = asyncio.create_task(lag.wait(asyncio.Future(), 5))
        await settle()
        stop(clock, 60)
        await clock.advance(3)
        assert not waiting.done()
        await clock.advance(3)
        assert not await waiting


async def test_wait_ends_after_so_much_time_in_all() -> None:
    async with measuring() as (clock, lag):
        waiting = asyncio.create_task(lag.wait(asyncio.Future(), 5, at_most_s=20))
        await settle()
        stop(clock, 21)
        await clock.advance(0)
        assert not await waiting
