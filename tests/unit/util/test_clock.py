import asyncio
import time

from tests.helpers.clock import FakeClock, settle
from vllmd.util.clock import Moment, SystemClock, wait_event


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
