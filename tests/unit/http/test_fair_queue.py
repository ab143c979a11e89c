import asyncio

import pytest

from tests.helpers.clock import FakeClock, settle
from vllmd.http import fair_queue
from vllmd.http.fair_queue import FORGOTTEN_S, FairQueue


async def order_of(turns: FairQueue, *clients: str) -> list[str]:
    """Return in which order clients that wait at once have their turns."""
    found: list[str] = []

    async def one(client: str) -> None:
        await turns.take(client)
        found.append(client)
        turns.give()

    await turns.take("first")
    tasks = [asyncio.create_task(one(client)) for client in clients]
    await settle()
    assert found == []
    turns.give()
    await asyncio.gather(*tasks)
    return found


async def test_clients_without_a_wrong_one_come_first_and_then_who_failed_longest_ago() -> None:
    clock = FakeClock()
    turns = FairQueue(clock)
    for client in ("c", "b", "a"):
        turns.note(client, wrong=True)
        await clock.advance(1)
    assert await order_of(turns, "a", "b", "c", "new", "newer") == ["new", "newer", "c", "b", "a"]
    turns.note("b", wrong=False)
    assert not turns.has_failed("b")
    assert await order_of(turns, "c", "b") == ["b", "c"]
    await clock.advance(FORGOTTEN_S)
    assert not turns.has_failed("a")


async def test_client_that_leaves_blocks_nobody() -> None:
    turns = FairQueue(FakeClock())
    await turns.take("a")
    waiting, chosen = (asyncio.create_task(turns.take(client)) for client in "bc")
    await settle()
    waiting.cancel()
    await settle()
    turns.give()  # to c, which leaves before it runs
    chosen.cancel()
    await asyncio.gather(waiting, chosen, return_exceptions=True)
    assert await order_of(turns, "d") == ["d"]


def test_failed_clients_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_queue, "REMEMBERED", 3)
    turns = FairQueue(FakeClock())
    for number in range(5):
        turns.note(str(number), wrong=True)
    assert [turns.has_failed(str(n)) for n in range(5)] == [False, False, True, True, True]
