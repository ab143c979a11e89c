import asyncio

from tests.helpers.clock import FakeClock
from vllmd.engine.sleeping.turns import Turns


class Taker:
    def __init__(self, name: str, share: str | None = "gpu0") -> None:
        self.name = name
        self.share = share
        self.holds_turn = False
        self.asked: list[str] = []
        self.refused: str | None = None
        self.cannot_answer: str | None = None
        self.drains_within_s = 60.0

    def give_way(self, to: str) -> None:
        self.asked.append(to)

    def given_back(self, by: str) -> None:
        self.asked.append(f"not for {by}")

    def need_not(self, to: str) -> None:
        self.asked.append(f"not any more for {to}")

    def refused_since(self, at: float) -> str | None:
        return self.refused


def of(*members: Taker) -> Turns:
    turns = Turns()
    for each in members:
        turns.join(each)
    return turns


async def waiting(
    turns: Turns, me: Taker, clock: FakeClock, *, force: bool
) -> asyncio.Task[str | None]:
    task = asyncio.create_task(
        turns.wait(me, clock, may_go=lambda: True, force=lambda: force, waits=lambda _: None)
    )
    await clock.advance(3)
    return task


async def test_engine_waits_until_the_other_has_given_way() -> None:
    one, two, clock = Taker("one"), Taker("two"), FakeClock()
    two.holds_turn = True
    task = await waiting(of(one, two), one, clock, force=True)
    assert not task.done()
    assert two.asked == ["one"], "it is asked once"
    two.holds_turn = False
    await clock.advance(1)
    assert task.result() is None


async def test_engine_that_does_not_give_way_is_told_with_its_reason() -> None:
    one, two, clock = Taker("one"), Taker("two"), FakeClock()
    two.holds_turn, two.refused = True, "3 requests run"
    task = await waiting(of(one, two), one, clock, force=True)
    assert task.result() == "two has the turn of gpu0 and does not sleep: 3 requests run"


async def test_without_force_nobody_is_asked() -> None:
    one, two, clock = Taker("one"), Taker("two"), FakeClock()
    two.holds_turn = True
    task = await waiting(of(one, two), one, clock, force=False)
    assert not task.done()
    assert two.asked == []
    task.cancel()


async def test_engines_of_other_shares_and_of_none_are_not_waited_for() -> None:
    one, other, none, clock = Taker("one"), Taker("x", "gpu1"), Taker("y", None), FakeClock()
    other.holds_turn = none.holds_turn = True
    turns = of(one, other, none)
    assert turns.ahead(one) == []
    assert turns.ahead(none) == []
    assert (await waiting(turns, one, clock, force=True)).result() is None


async def test_engine_that_is_to_go_no_more_waits_no_more() -> None:
    one, two, clock = Taker("one"), Taker("two"), FakeClock()
    two.holds_turn = True
    found = await of(one, two).wait(
        one, clock, may_go=lambda: False, force=lambda: True, waits=lambda _: None
    )
    assert found is None
    assert two.asked == []


def test_engine_that_sleeps_by_itself_tells_those_of_its_share_alone() -> None:
    one, two, other, none = (Taker("one"), Taker("two"), Taker("x", "gpu1"), Taker("y", None))
    turns = of(one, two, other, none)
    turns.given_back(one)
    turns.given_back(none)
    assert (one.asked, two.asked, other.asked, none.asked) == ([], ["not for one"], [], [])


async def test_engine_that_stands_still_is_waited_for_as_long_as_its_drain() -> None:
    one, two, clock = Taker("one"), Taker("two"), FakeClock()
    two.holds_turn, two.cannot_answer = True, "it is unreachable"
    task = await waiting(of(one, two), one, clock, force=True)
    await clock.advance(30)
    two.cannot_answer = None
    await clock.advance(50)
    two.cannot_answer = "it is stalled"
    await clock.advance(59)
    assert not task.done(), "it did something in between"
    await clock.advance(5)
    assert task.result() == "two has the turn of gpu0 and does not sleep: it is stalled"
    assert two.asked == ["one", "not any more for one"]


def test_engine_that_left_has_no_turn_and_another_of_its_name_keeps_its_own() -> None:
    one, two, again = Taker("one"), Taker("two"), Taker("two")
    two.holds_turn = again.holds_turn = True
    turns = of(one, two)
    turns.leave(two)
    assert turns.ahead(one) == []
    turns.leave(two)
    turns.join(again)
    turns.leave(two)
    assert turns.ahead(one) == [again]
