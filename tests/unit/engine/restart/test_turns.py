import asyncio

import pytest

from tests.helpers.clock import FakeClock, settle
from vllmd.engine.restart.turns import MAX_WAIT_S, Turn, Turns
from vllmd.engine.wishes import Wishes

ALL = None
ONE, TWO = frozenset({"0"}), frozenset({"0", "1"})


@pytest.mark.parametrize(
    ("mine", "theirs", "waits"),
    [
        (ALL, ALL, True),
        (ALL, ONE, True),
        (ONE, TWO, True),
        (ONE, frozenset({"1"}), False),
        (frozenset(), ONE, False),
    ],
)
def test_ahead_of_engines_that_share_a_gpu_wait(
    mine: frozenset[str] | None, theirs: frozenset[str] | None, waits: bool
) -> None:
    turns = Turns()
    turns.take("other", theirs)
    assert turns.ahead_of("me", mine) == ("other" if waits else None)
    assert turns.ahead_of("other", theirs) is None
    turns.give_back("other")
    assert turns.ahead_of("me", mine) is None


async def test_wait_three_engines_load_one_after_another() -> None:
    turns, clock = Turns(), FakeClock()
    loading: list[str] = []

    async def load(name: str) -> None:
        turn = Turn(turns, name, ALL, clock)
        await turn.wait(Wishes(), lambda: True, lambda _: None)
        turn.take()
        loading.append(name)
        assert len(loading) == 1
        await clock.sleep(60)
        loading.remove(name)
        turn.give_back()

    tasks = [asyncio.create_task(load(name)) for name in "abc"]
    await clock.advance(200)
    assert all(task.done() for task in tasks)
    for task in tasks:
        task.result()


async def test_wait_ends_when_the_start_is_not_wanted_any_more() -> None:
    turns, clock = Turns(), FakeClock()
    turns.take("other", ALL)
    wishes, wanted, said = Wishes(), [True], list[str]()
    task = asyncio.create_task(
        Turn(turns, "me", ALL, clock).wait(wishes, lambda: wanted[0], said.append)
    )
    await settle()
    wanted[0] = False
    wishes.add()
    await settle()
    assert task.done()
    assert said == ["waits until other has loaded, with which it shares a GPU"]


async def test_wait_another_engines_download_does_not_keep_it_down() -> None:
    turns, clock = Turns(), FakeClock()
    turns.take("other", ALL)
    task = asyncio.create_task(
        Turn(turns, "me", ALL, clock).wait(Wishes(), lambda: True, lambda _: None)
    )
    await clock.advance(MAX_WAIT_S - 1)
    assert not task.done()
    await clock.advance(2)
    assert task.done()
