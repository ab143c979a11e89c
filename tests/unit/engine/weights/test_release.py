import asyncio

from tests.helpers.clock import FakeClock
from vllmd.engine.stopping.cleanup import LIMIT_S
from vllmd.engine.weights.release import wait_until_free


async def told(*answers: list[str] | None) -> tuple[float, tuple[str, ...]]:
    """Return what comes of a wait; the last answer is given for ever."""
    left, clock = list(answers), FakeClock()

    async def ask() -> list[str] | None:
        return left.pop(0) if len(left) > 1 else left[0]

    waiting = asyncio.create_task(wait_until_free(ask, clock))
    await clock.advance(2 * LIMIT_S)
    return await waiting


async def test_memory_that_comes_back_is_waited_for() -> None:
    took_s, left = await told(["a (pid 1)"], ["a (pid 1)"], [])
    assert (round(took_s, 1), left) == (0.4, ())


async def test_nobody_is_waited_for_where_no_gpu_is_read() -> None:
    assert await told(None) == (0.0, ())


async def test_memory_that_stays_is_named_in_the_end() -> None:
    took_s, left = await told(["a (pid 1)"])
    assert (took_s >= LIMIT_S, left) == (True, ("a (pid 1)",))
