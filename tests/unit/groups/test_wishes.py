"""A wish on a member that its head refuses: told on the head's page, and taken back."""

import asyncio

import pytest

from tests.helpers.clock import settle
from tests.helpers.grouped import HOSTS, Grouped, OwnOfATest
from vllmd.errors import HeldError
from vllmd.groups.part import FAST_S

WHY = "the driver has changed: it would not start again"


def refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(_: OwnOfATest) -> None:
        raise HeldError(WHY)

    monkeypatch.setattr(OwnOfATest, "restart", no)


async def test_refused_restart_is_taken_back_and_the_next_one_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Grouped()
    generation = await made.serving()
    refuses(monkeypatch)
    exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    for _ in range(2):
        made.member.wished("restart")
        releasing = asyncio.ensure_future(made.member.release(f"{generation}-1", exited))
        await settle()
        made.hear(0, 1)
        no = made.head.page().refused
        assert no is not None
        assert (no.wish.what, no.wish.generation, no.why) == ("restart", generation, WHY)
        made.hear(1, 0)
        assert await asyncio.wait_for(releasing, 5) == WHY
        assert made.member.page().wish is None
        status = made.member.status()
        assert status is not None
        assert status.refused == f"the head, {HOSTS[0]}, refuses the restart: {WHY}"
        made.hear(0, 1)
        assert made.head.page().refused is None
        made.hear(1, 0)
    monkeypatch.undo()
    made.member.wished("restart")
    assert made.member.status().refused is None, "what was refused before is over"
    made.hear(0, 1)
    assert made.own[0].acted == ["restart"]


async def test_refusal_that_another_member_has_not_read_for_long_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Grouped(3)
    await made.serving()
    refuses(monkeypatch)
    for rank in (1, 2):
        made.parts[rank].wished("restart")
        made.hear(0, rank)
    made.hear(1, 0)
    made.member.wished("restart")
    for _ in range(3):
        made.clock.now += 5
        made.hear(0, 1)
        made.hear(1, 0)
    assert made.member.status().refused is not None


async def test_refusal_of_another_wish_or_of_before_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Grouped()
    generation = await made.serving()
    refuses(monkeypatch)
    made.member.wished("restart")
    made.hear(0, 1)
    made.hear(1, 0)  # nobody takes it here: the run was to end for something else as well
    made.member.wished("restart")
    exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    releasing = asyncio.ensure_future(made.member.release(f"{generation}-1", exited))
    await settle()
    assert not releasing.done()
    exited.set_result(None)
    assert await releasing is None


async def test_refusal_stays_on_the_page_while_a_member_has_not_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Grouped(3)
    await made.serving()
    refuses(monkeypatch)
    for rank in (1, 2):
        made.parts[rank].wished("restart")
        made.hear(0, rank)
    made.hear(1, 0)
    made.hear(0, 1)
    assert made.head.page().refused is not None
    made.hear(2, 0)
    made.hear(0, 2)
    assert made.head.page().refused is None


async def refused(monkeypatch: pytest.MonkeyPatch) -> Grouped:
    """Return a group whose head has refused a member's restart, which has heard of it."""
    made = Grouped()
    await made.serving()
    refuses(monkeypatch)
    made.member.wished("restart")
    made.hear(0, 1)
    made.hear(1, 0)
    assert made.member.status().refused is not None
    return made


async def test_page_of_before_a_wish_refuses_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was in the way is gone meanwhile, and the head's next page will say so."""
    made = await refused(monkeypatch)
    made.clock.now += 10
    made.member.wished("restart")
    made.member.decide()
    assert made.member.status().refused is None
    made.hear(0, 1)
    made.hear(1, 0)
    assert made.member.page().wish is not None


async def test_restart_that_is_asked_for_again_at_once_is_not_refused_by_the_refusal_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The head asks each five seconds, and may not have seen that there was no wish in between."""
    made = await refused(monkeypatch)
    monkeypatch.undo()
    made.member.wished("restart")
    assert made.member.pause_s == FAST_S
    made.hear(1, 0)
    assert made.member.status().refused is None
    for _ in range(2):
        made.hear(0, 1)
        made.hear(1, 0)
    assert made.own[0].acted == ["restart"]
