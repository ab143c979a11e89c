import asyncio
import time

from tests.helpers.clock import FakeClock, settle
from vllmd.util.clock import Moment, SystemClock, until_tick, wait_event


async def test_wait_event_set_returns_true() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_event(event, 10, clock))
    await settle()
    event.set()
    assert await waiting


async def test_wait_event_time_is_up_returns_false() -> None:
    clock = FakeClock()
    waiting = asyncio.create_task(wait_event(asyncio.Event(), 10, clock))
    await clock.advance(9)
    assert not waiting.done()
    await clock.advance(1)
    assert await waiting is False


async def test_system_clock_agrees_with_the_system() -> None:
    clock = SystemClock()
    before = time.monotonic()
    await clock.sleep(0)
    assert before <= clock.monotonic() <= time.monotonic()
    assert clock.time() <= time.time()


async def test_moment_keeps_its_age_whatever_the_clock_is_set_to() -> None:
    clock = FakeClock()
    moment = Moment.now(clock)
    await clock.advance(30)
    assert (moment.age_s(clock), moment.shown(clock)) == (30, moment.wall)
    for step_s in (3600.0, -7200.0):
        clock.step(step_s)
        assert moment.age_s(clock) == 30
        assert clock.time() - moment.shown(clock) == 30
    later = Moment.now(clock).after(60)
    assert later.shown(clock) - clock.time() == 60
    assert later.age_s(clock) == 0


async def test_until_tick_of_parts_that_began_apart_is_the_same_moment() -> None:
    clock = FakeClock(now=1000.3)
    moments = set()
    for period_s in (1.0, 2.0, 5.0, 60.0):
        pause_s = until_tick(clock, period_s)
        assert abs(pause_s - period_s) <= 0.5
        moments.add(round((clock.now + pause_s) % 1.0, 6) % 1.0)
    assert moments == {0.0}


async def test_until_tick_again_and_again_keeps_the_period() -> None:
    clock = FakeClock(now=7.9)
    for _ in range(100):
        clock.now += 0.004  # what the work took
        await_s = until_tick(clock, 5.0)
        clock.now += await_s
    assert clock.now == 8.0 + 100 * 5.0


async def test_until_tick_of_less_than_a_second_is_as_given() -> None:
    assert until_tick(FakeClock(now=3.3), 0.5) == 0.5
