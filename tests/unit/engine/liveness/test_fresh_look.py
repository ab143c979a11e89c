import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from tests.helpers.clock import FakeClock, settle
from tests.helpers.ports import free_port
from vllmd.engine.liveness.canary import RANK
from vllmd.engine.liveness.fresh_look import FreshLook, confirms, has_moved_on, look
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading
from vllmd.engine.liveness.stall_detector import Assessment, Verdict
from vllmd.util.loop_lag import LoopLag

SILENT = Assessment(Verdict.STALLED, "silent")
STANDS = Assessment(Verdict.STALLED, "stands", "0")
CANARY = Assessment(Verdict.STALLED, "canary", RANK)
FIRST = Reading(
    0.0, PageAnswer.PAGE, {"0": RankProgress(7, 1, 0, 100), "1": RankProgress(9, 0, 0, 5)}
)
IDLE = Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(7, 0, 0, 100), RANK: RankProgress(0, 1, 0)})


def page(*ranks: RankProgress, canary: bool = False, paused: bool = False) -> FreshLook:
    named = {str(n): rank for n, rank in enumerate(ranks)}
    return FreshLook(PageAnswer.PAGE, named, answered=True, canary=canary, paused=paused)


@pytest.mark.parametrize("first", [PageAnswer.NONE, PageAnswer.REFUSED])
def test_confirms_silence_by_silence_only(first: PageAnswer) -> None:
    reading = Reading(0.0, first)
    assert confirms(FreshLook(PageAnswer.NONE), reading, SILENT)
    assert confirms(FreshLook(PageAnswer.REFUSED), reading, SILENT)
    assert not confirms(page(RankProgress(1, 1, 0)), reading, SILENT)
    assert not confirms(FreshLook(PageAnswer.NONE, answered=True), reading, SILENT)
    assert not confirms(FreshLook(PageAnswer.UNKNOWN), reading, SILENT)


@pytest.mark.parametrize(
    ("fresh", "confirmed"),
    [
        (page(RankProgress(7, 1, 0, 100), RankProgress(10, 0, 0, 6)), True),
        (page(RankProgress(7, 0, 2, 100)), True),
        (page(RankProgress(7, 1, 0, 100), paused=True), False),
        (page(RankProgress(8, 1, 0, 100)), False),
        (page(RankProgress(7, 1, 0, 101)), False),
        (page(RankProgress(7, 0, 0, 100)), False),
        (page(), False),
        (FreshLook(PageAnswer.NONE), False),
        (FreshLook(PageAnswer.REFUSED), False),
        (FreshLook(PageAnswer.UNKNOWN), False),
    ],
)
def test_confirms_standing_still_by_the_same_counts_with_requests(
    fresh: FreshLook, confirmed: bool
) -> None:
    assert confirms(fresh, FIRST, STANDS) is confirmed


@pytest.mark.parametrize(
    ("fresh", "confirmed"),
    [
        (page(RankProgress(7, 0, 0, 100)), True),
        (page(RankProgress(8, 0, 0, 100)), False),
        (page(RankProgress(7, 0, 0, 101)), False),
        (page(RankProgress(7, 0, 0, 100), paused=True), False),
        (page(), False),
        (FreshLook(PageAnswer.NONE), False),
    ],
)
def test_confirms_a_rank_that_was_asked_by_the_same_counts(
    fresh: FreshLook, confirmed: bool
) -> None:
    """One that is gone shows no request: its counts are as it told them last."""
    assert confirms(fresh, FIRST, attrs.evolve(STANDS, asked=True)) is confirmed


@pytest.mark.parametrize(
    ("fresh", "moved"),
    [
        (page(RankProgress(8, 1, 0, 100)), True),
        (page(RankProgress(7, 1, 0, 101)), True),
        (page(RankProgress(7, 0, 0, 100)), False),  # its requests are gone
        (page(RankProgress(7, 1, 0, 100), paused=True), False),
        (page(), False),
        (FreshLook(PageAnswer.NONE), False),
    ],
)
def test_has_moved_on_by_other_counts_of_the_same_rank(fresh: FreshLook, moved: bool) -> None:
    assert has_moved_on(fresh, FIRST, STANDS) is moved
    assert not has_moved_on(fresh, FIRST, SILENT)
    assert not has_moved_on(fresh, Reading(0.0, PageAnswer.NONE), STANDS)


@pytest.mark.parametrize(
    ("fresh", "confirmed"),
    [
        (page(RankProgress(7, 0, 0, 100)), True),
        (page(RankProgress(7, 0, 0, 100), canary=True), False),
        (page(RankProgress(7, 0, 0, 100), paused=True), False),
        (page(RankProgress(8, 0, 0, 101)), False),
        (FreshLook(PageAnswer.NONE), False),
    ],
)
def test_confirms_a_canary_by_a_second_one(fresh: FreshLook, confirmed: bool) -> None:
    assert confirms(fresh, IDLE, CANARY) is confirmed


def says(text: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", f"print({text!r})"]


def no_ranks(_page: str) -> Mapping[str, RankProgress]:
    return {}


async def seen(program: list[str], **more: Any) -> FreshLook:
    return await look("127.0.0.1", 1, [], no_ranks, LoopLag(FakeClock()), program=program, **more)


def line(**more: Any) -> str:
    said = {"version": 1, "answer": "none", "status": 0, "page": "", "canary": False, "late_s": 0.0}
    return json.dumps({**said, **more})


async def test_look_asks_by_a_real_process() -> None:
    fresh = await look("127.0.0.1", free_port(), ["vllm:"], no_ranks, LoopLag(FakeClock()))
    assert (fresh.answer, fresh.answered) == (PageAnswer.REFUSED, False)


@pytest.mark.parametrize(
    ("said", "answer", "answered"),
    [
        (line(answer="page"), PageAnswer.PAGE, True),
        (line(answer="page", late_s=50), PageAnswer.PAGE, True),
        (line(answer="other", status=500), PageAnswer.NONE, True),
        (line(), PageAnswer.NONE, False),
        (line(canary=True), PageAnswer.NONE, True),
        (line(late_s=0.9), PageAnswer.NONE, False),
        (line(late_s=1.1), PageAnswer.UNKNOWN, False),
        (line(answer="refused", late_s=1.1), PageAnswer.REFUSED, False),
        (line(answer="unknown", problem="EMFILE"), PageAnswer.UNKNOWN, False),
        (line(answer="maybe"), PageAnswer.UNKNOWN, False),
        (line(version=2), PageAnswer.UNKNOWN, False),
        ("{}", PageAnswer.UNKNOWN, False),
        ("[]", PageAnswer.UNKNOWN, False),
        ("nonsense", PageAnswer.UNKNOWN, False),
        ("", PageAnswer.UNKNOWN, False),
    ],
)
async def test_look_takes_what_was_said_for_what_it_is_worth(
    said: str, answer: PageAnswer, answered: bool
) -> None:
    fresh = await seen(says(said))
    assert (fresh.answer, fresh.answered) == (answer, answered)
    assert bool(fresh.problem) is (answer is PageAnswer.UNKNOWN)


@pytest.mark.parametrize("paused", [True, False])
async def test_look_tells_an_engine_that_is_paused(paused: bool) -> None:
    fresh = await seen(says(line(answer="page", paused=paused)))
    assert fresh.paused is paused


async def test_look_process_that_cannot_be_started_knows_nothing() -> None:
    fresh = await seen(["/nonexistent/python"])
    assert fresh.answer is PageAnswer.UNKNOWN
    assert "could not be started" in fresh.problem


async def test_look_without_a_thread_to_wait_for_it_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    fresh = await seen(says("{}"))
    assert fresh.answer is PageAnswer.UNKNOWN
    assert "can't start new thread" in fresh.problem


async def test_look_process_that_does_not_end_is_killed() -> None:
    clock = FakeClock()
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    looking = asyncio.create_task(
        look("127.0.0.1", 1, [], no_ranks, LoopLag(clock), program=program)
    )
    for _ in range(500):
        if clock.slept:
            break
        await asyncio.sleep(0.01)
    await settle()
    await clock.advance(31)
    fresh = await looking
    assert fresh.answer is PageAnswer.UNKNOWN
    assert "did not end" in fresh.problem
