import asyncio
import time

from tests.helpers.clock import FakeClock, settle
from vllmd.clock import SystemClock, wait_event


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
