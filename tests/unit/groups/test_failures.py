import asyncio

import attrs
import pytest
import structlog

from tests.helpers.clock import settle
from tests.helpers.grouped import HOSTS, Grouped
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.exits import Exit
from vllmd.groups.failures import FIRST_CAUSE_S
from vllmd.groups.page import EndOfPart

OOM = Diagnosis("host_out_of_memory", Kind.TRANSIENT, "It was killed.", "Add memory.", ("oom",))
PEER = Diagnosis("peer_lost", Kind.TRANSIENT, "A peer is gone.", "Look there.", ("closed",))


def end_of(run: str, at: float, why: Diagnosis) -> Exit:
    return Exit("0", requested=False, at=at, run_id=run, diagnosis=why)


async def test_first_cause_another_hosts_is_told_with_its_name() -> None:
    made = Grouped()
    generation = await made.serving()
    made.own[1].end("0", made.clock.time() - 5, diagnosis=OOM)
    made.hear(0, 1)
    found = await made.head.first_cause(end_of(generation, made.clock.time(), PEER))
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "host_out_of_memory"
    assert found.diagnosis.explanation == f"On {HOSTS[1]}: It was killed."
    assert found.diagnosis.evidence == ("oom",)


async def test_first_cause_a_head_that_ended_first_keeps_its_own() -> None:
    made = Grouped()
    generation = await made.serving()
    at = made.clock.time() - 9
    made.own[1].end("0", made.clock.time() - 1, diagnosis=PEER)
    made.hear(0, 1)
    found = await made.head.first_cause(end_of(generation, at, OOM))
    assert found.diagnosis == OOM
    assert made.head.status().failed_host == HOSTS[0]


async def test_first_cause_pages_grow_old_while_others_are_waited_for() -> None:
    """A page that was read ten seconds ago tells an age of ten seconds ago."""
    made = Grouped()
    generation = await made.serving()
    made.own[1].end("0", made.clock.time(), diagnosis=OOM)
    made.hear(0, 1)
    made.clock.now += 10
    found = await made.head.first_cause(end_of(generation, made.clock.time() - 1, PEER))
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "host_out_of_memory"


async def test_first_cause_waits_for_what_a_member_says_of_its_end() -> None:
    made = Grouped()
    generation = await made.serving()
    asking = asyncio.ensure_future(
        made.head.first_cause(end_of(generation, made.clock.time(), PEER))
    )
    await settle()
    await made.clock.advance(4)
    assert not asking.done()
    made.own[1].end("0", made.clock.time() - 6, diagnosis=OOM)
    made.hear(0, 1)
    await made.clock.advance(1)
    found = await asking
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "host_out_of_memory"


async def test_first_cause_an_end_that_was_asked_for_is_none() -> None:
    made = Grouped()
    generation = await made.serving()
    made.own[1].end("0", made.clock.time() - 5, requested=True)
    made.hear(0, 1)
    own = end_of(generation, made.clock.time(), OOM)
    asking = asyncio.ensure_future(made.head.first_cause(own))
    await made.clock.advance(FIRST_CAUSE_S + 1)
    assert await asking == own


DIED = Diagnosis("worker_died", Kind.TRANSIENT, "A worker died.", "Look.", ("exit code: -9",))


@pytest.mark.parametrize(
    ("own", "theirs", "blamed"),
    [
        (PEER, DIED, 1),
        (PEER, OOM, 1),
        (PEER, PEER, 0),
        (PEER, None, 0),
        (OOM, DIED, 0),
    ],
)
async def test_first_cause_a_member_that_had_failed_and_went_on_is_told(
    own: Diagnosis, theirs: Diagnosis | None, blamed: int
) -> None:
    """A worker of it is killed, the head dies of that at once, and its main process is slow."""
    made = Grouped()
    generation = await made.serving()
    asking = asyncio.ensure_future(
        made.head.first_cause(end_of(generation, made.clock.time(), own))
    )
    await settle()
    seen = Exit("0", requested=False, at=0.0, run_id=f"{generation}-1", diagnosis=theirs)
    made.member.was_failing(seen)
    made.hear(0, 1)
    await made.clock.advance(FIRST_CAUSE_S + 1)
    found = (await asking).diagnosis
    assert found is not None
    assert made.head.status().failed_host == HOSTS[blamed]
    assert found.cause == (theirs if blamed and theirs else own).cause
    made.own[0].end("0", made.clock.time(), diagnosis=own)
    made.hear(1, 0)
    assert made.member.status().failed_host == HOSTS[blamed]


async def test_first_cause_trouble_of_an_earlier_generation_is_none() -> None:
    made = Grouped()
    generation = await made.serving()
    made.member.was_failing(Exit("0", requested=False, at=0.0, run_id="older-1", diagnosis=DIED))
    made.hear(0, 1)
    asking = asyncio.ensure_future(
        made.head.first_cause(end_of(generation, made.clock.time(), PEER))
    )
    await made.clock.advance(FIRST_CAUSE_S + 1)
    await asking
    assert made.head.status().failed_host == HOSTS[0]


OLD = "told before"


async def told_by_a_new_daemon(made: Grouped, generation: str) -> list[str]:
    """Have a member's vllmd begin anew; return what it tells by the head's first page."""
    made.head._failures.last = HOSTS[1], end_page(generation)
    made.parts[1] = made.begun_anew(1)
    with structlog.testing.capture_logs() as told:
        made.hear(1, 0)
        made.hear(1, 0)
    return [each["text"] for each in told if each["event"] == "group.failed"]


def end_page(generation: str) -> EndOfPart:
    return EndOfPart(generation, 20 * 86400.0, False, OLD, "host_out_of_memory")


async def test_hear_a_failure_of_an_earlier_run_is_not_told_by_the_next_daemon() -> None:
    made = Grouped()
    await made.serving()
    assert await told_by_a_new_daemon(made, "an older generation") == []
    assert made.member.status().failed_host == HOSTS[1]  # 'vllmd status' has it still
    made.head._failures.last = HOSTS[0], attrs.evolve(end_page("the next"), text="new")
    with structlog.testing.capture_logs() as told:
        made.hear(1, 0)
    assert [each["text"] for each in told] == ["new"]


@pytest.mark.parametrize("runs", [True, False])
async def test_hear_how_the_last_run_of_this_host_failed_is_told_by_the_next_daemon(
    runs: bool,
) -> None:
    """As after a power failure: nobody has told it here."""
    made = Grouped()
    generation = await made.serving()
    if not runs:
        made.own[1].end("0", made.clock.time())
    assert await told_by_a_new_daemon(made, generation) == [OLD]


@pytest.mark.parametrize(("own", "blamed"), [(PEER, 1), (DIED, 0), (OOM, 0)])
async def test_first_cause_a_member_that_ends_after_the_head_that_died_of_it_is_told(
    own: Diagnosis, blamed: int
) -> None:
    """As a real vLLM does it: the head was gone three seconds before the member's main process."""
    made = Grouped()
    generation = await made.serving()
    made.own[1].end("0", made.clock.time(), diagnosis=DIED)
    made.hear(0, 1)
    await made.head.first_cause(end_of(generation, made.clock.time() - 3, own))
    assert made.head.status().failed_host == HOSTS[blamed]
