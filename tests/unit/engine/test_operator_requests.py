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
