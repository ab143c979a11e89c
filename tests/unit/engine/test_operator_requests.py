import asyncio

from tests.helpers.clock import FakeClock, settle
from vllmd.engine.operator_requests import OperatorRequests


async def test_beyond_a_wish_that_came_before_the_wait_is_not_lost() -> None:
    operator_requests = OperatorRequests()
    known = operator_requests.count
    operator_requests.add()
    await asyncio.wait_for(operator_requests.beyond(known), 1)
    assert await operator_requests.beyond_within(known, 60, FakeClock())


async def test_beyond_wakes_all_who_wait_and_only_once() -> None:
    operator_requests = OperatorRequests()
    waiting = [
        asyncio.create_task(operator_requests.beyond(operator_requests.count)) for _ in range(2)
    ]
    await settle()
    assert not any(each.done() for each in waiting)
    operator_requests.add()
    await settle()
    assert all(each.done() for each in waiting)
    again = asyncio.create_task(operator_requests.beyond(operator_requests.count))
    await settle()
    assert not again.done()
    again.cancel()


async def test_beyond_within_ends_with_its_time() -> None:
    operator_requests, clock = OperatorRequests(), FakeClock()
    waiting = asyncio.create_task(operator_requests.beyond_within(0, 60, clock))
    await clock.advance(59)
    assert not waiting.done()
    await clock.advance(1)
    assert waiting.result() is False


async def test_unless_gives_the_work_up_as_soon_as_it_is_over_and_returns_what_it_does() -> None:
    operator_requests, over = OperatorRequests(), False
    cancelled = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    waiting = asyncio.create_task(operator_requests.unless(lambda: over, work()))
    operator_requests.add()
    await settle()
    assert not waiting.done(), "a wish after which it is still wanted"
    over = True
    operator_requests.add()
    await settle()
    assert (waiting.result(), cancelled.is_set()) == (None, True)

    async def done() -> str:
        return "done"

    over = False
    assert await operator_requests.unless(lambda: over, done()) == "done"


async def test_beyond_or_ends_with_a_wish_or_with_one_of_the_others() -> None:
    operator_requests = OperatorRequests()
    other = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(operator_requests.beyond_or(0, other))
    await settle()
    assert not waiting.done()
    other.set_result(None)
    await settle()
    assert waiting.done()
    operator_requests.add()
    await operator_requests.beyond_or(0, asyncio.get_running_loop().create_future())
