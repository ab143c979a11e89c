import asyncio

import attrs
import pytest

from tests.helpers.clock import settle
from tests.helpers.grouped import CUT_OFF, HOSTS, Grouped, Network
from vllmd.config.group import ThisHost
from vllmd.engine.group_interface import AwaitedHost
from vllmd.engine.state_machine import State
from vllmd.groups.rules import LOST_S


async def test_next_run_the_head_starts_when_all_wait_and_members_follow() -> None:
    made = Grouped(3)
    head, one = made.waiting(0), made.waiting(1)
    await settle()
    assert "its vllmd does not answer" in made.said[0]
    for _ in range(2):
        made.hear(1, 0)
        made.hear(0, 1)
        made.hear(0, 2)
    await settle()
    assert not head.done()
    two = made.waiting(2)
    await settle()
    made.hear_all()
    generation = await head
    assert generation
    await settle()
    assert not one.done()
    assert not two.done()
    made.own[0].run = generation
    made.hear(1, 0)
    made.hear(2, 0)
    assert (await one, await two) == (f"{generation}-1", f"{generation}-2")


async def test_page_tells_an_age_whatever_the_clocks_of_hosts_say() -> None:
    made = Grouped()
    made.clock.step(3600 - made.clock.time() + made.own[1].status.since)
    assert made.member.page().for_s == 3600
    made.clock.step(-7200)
    assert made.member.page().for_s == 0


async def test_next_run_what_else_is_in_the_way_ends_the_wait_unless_the_head_has_begun() -> None:
    made = Grouped()
    free = True

    def waiting(rank: int) -> "asyncio.Task[str | None]":
        return asyncio.ensure_future(
            made.parts[rank].next_run(made.requests, lambda: True, made.said.append, lambda: free)
        )

    head, member = waiting(0), waiting(1)
    await settle()
    free = False
    made.hear_all()
    await settle()
    assert await head is None
    assert await member is None
    assert not made.member.page().waits
    free = True
    head, member = waiting(0), waiting(1)
    await settle()
    made.hear_all()
    generation = await head
    assert generation
    free = False
    made.own[0].run = generation
    made.hear(1, 0)
    assert await member == f"{generation}-1"


async def test_next_run_is_given_up_with_the_wish() -> None:
    made = Grouped()
    head = made.waiting(0)
    await settle()
    made.own[0].is_wanted = False
    made.requests.add()
    assert await head is None
    assert not made.head.page().waits


async def test_until_end_a_member_ends_with_its_generation() -> None:
    made = Grouped()
    generation = await made.serving()
    ending = asyncio.ensure_future(made.member.until_end(f"{generation}-1"))
    made.hear(1, 0)
    await settle()
    assert not ending.done()
    made.own[0].end("SIGKILL", made.clock.time())
    made.hear(1, 0)
    end = await ending
    assert end.lost is None
    assert f"the head, {HOSTS[0]}, runs this start no more" in end.reason


async def test_until_end_a_head_loses_a_member_and_says_which() -> None:
    made = Grouped()
    generation = await made.serving()
    ending = asyncio.ensure_future(made.head.until_end(generation))
    made.own[1].end("0", made.clock.time())
    made.hear(0, 1)
    end = await ending
    assert end.lost == HOSTS[1]


async def test_until_end_of_an_adopted_run_a_member_without_one_is_lost() -> None:
    made = Grouped()
    generation = "of-an-earlier-daemon"
    made.own[0].serve(generation)
    made.own[1].run = None
    ending = asyncio.ensure_future(made.head.until_end(generation))
    made.hear(0, 1)
    assert "runs nothing of this start any more" in (await ending).reason


async def test_release_waits_for_the_head_and_not_for_ever() -> None:
    made = Grouped()
    generation = await made.serving()
    exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    leaving = asyncio.ensure_future(made.member.release(f"{generation}-1", exited))
    await settle()
    made.own[1].is_wanted = False
    made.hear(1, 0)
    await settle()
    assert not leaving.done()
    made.hear(0, 1)
    assert "it was stopped on" in (await made.head.until_end(generation)).reason
    made.clock.now += made.member.release_s + 1
    made.member.decide()
    await leaving


async def test_wished_on_a_member_the_head_acts_once() -> None:
    made = Grouped()
    generation = await made.serving()
    made.member.wished("restart")
    wish = made.member.page().wish
    assert wish is not None
    assert (wish.what, wish.generation) == ("restart", generation)
    for _ in range(3):
        made.hear(0, 1)
    assert made.own[0].acted == ["restart"]
    made.own[0].end("0", made.clock.time(), requested=True)
    made.hear(1, 0)
    assert made.member.page().wish is None


async def test_wished_start_lets_a_held_head_go() -> None:
    made = Grouped()
    made.own[0].state = State.HELD
    made.hear(1, 0)
    made.member.wished("start")
    made.hear(0, 1)
    made.hear(0, 1)
    assert made.own[0].acted == ["start"]


async def test_joined_needs_the_heads_word_and_a_connection() -> None:
    made = Grouped()
    await made.serving()
    watch = made.member.peers[0]
    watch.look({"10.0.0.9"})
    assert not await made.member.joined()
    watch.look({HOSTS[0]})
    made.hear(1, 0)
    assert await made.member.joined()
    made.own[0].has_served = False
    made.hear(1, 0)
    assert not await made.member.joined()


async def test_gets_on_a_member_that_is_connected_is_judged_by_the_head() -> None:
    made = Grouped()
    generation = await made.serving()
    assert not made.member.gets_on()
    made.member.peers[0].look({HOSTS[0]})
    assert made.member.gets_on()
    made.hear(0, 1)
    assert made.head.gets_on()
    made.head.peers[1].look({HOSTS[1]})
    assert not made.head.gets_on()
    assert generation


async def test_first_cause_is_that_of_the_member_that_ended_first() -> None:
    made = Grouped()
    await made.serving()
    made.own[1].end("0", made.clock.time() - 3)
    made.own[0].end("0", made.clock.time())
    last = made.own[0].last_exit
    assert last is not None
    made.hear(0, 1)
    await made.head.first_cause(last)
    status = made.head.status()
    assert status.failed_host == HOSTS[1]
    made.hear(1, 0)
    assert made.member.status().failed_host == HOSTS[1]


@pytest.mark.parametrize("connected", [True, False])
async def test_status_a_silent_member_is_lost_only_without_connections(
    connected: bool, network: Network
) -> None:
    made = Grouped()
    generation = await made.serving()
    watch = made.head.peers[1]
    watch.look({HOSTS[1]} if connected else set())
    await watch.ask(CUT_OFF, "")
    made.clock.now += LOST_S + 1
    ending = asyncio.ensure_future(made.head.until_end(generation))
    made.head.decide()
    await settle()
    assert ending.done() is not connected
    assert made.head.status("ready").hosts == {HOSTS[0]: "ready", HOSTS[1]: "unreachable"}
    made.clock.now += made.head.limits.red_s
    made.head.decide()
    assert (made.head.status().red is not None) is connected
    lacks = AwaitedHost(f"{HOSTS[1]}:9840", "unreachable")
    assert made.head.status().awaited == (lacks if connected else None)
    ending.cancel()


async def test_status_a_page_that_cannot_be_read_ends_nothing_and_is_told(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with a certificate that has expired: the host is there, and only its word is missing."""
    network.cut = False
    made = Grouped()
    generation = await made.serving()
    ends = [
        asyncio.ensure_future(made.head.until_end(generation)),
        asyncio.ensure_future(made.member.until_end(f"{generation}-1")),
    ]
    for rank, part in enumerate(made.parts):
        watch = part.peers[1 - rank]
        watch.look({HOSTS[1 - rank]})
        for _ in range(3):
            await watch.ask(None, "its certificate is not trusted: it has expired")
            made.clock.now += 3600
            part.decide()
    await settle()
    assert not any(end.done() for end in ends)
    for rank, part in enumerate(made.parts):
        status, other = part.status("ready"), HOSTS[1 - rank]
        assert status.red is None
        assert status.hosts[other] == "unreadable"
        assert "expired" in status.silent[other]
    assert capsys.readouterr().out.count("group.host_silent") == 2
    made.hear_all()
    assert capsys.readouterr().out.count("group.host_heard") == 2
    assert made.head.status().silent == {}
    for end in ends:
        end.cancel()


async def test_status_a_member_waits_for_the_head_and_the_head_for_its_member() -> None:
    made = Grouped(3)
    tasks = [made.waiting(rank) for rank in (0, 1)]
    await settle()
    made.own[2].state = State.HELD
    made.hear(1, 0)
    made.hear(0, 1)
    made.hear(0, 2)
    assert made.head.status().awaited == AwaitedHost(f"{HOSTS[2]}:9840", "held")
    assert made.member.status().awaited == AwaitedHost(f"{HOSTS[0]}:9840", "waiting")
    assert made.head.status().name == made.member.status().name == f"big@{HOSTS[0]}"
    for task in tasks:
        task.cancel()


# --- what runs from before the group ------------------------------------------------------------


@pytest.mark.parametrize("place", [None, "0 of 10.0.0.1,10.0.0.9 tensor 1 29501"])
async def test_until_end_a_run_of_before_the_group_is_left_alone(
    place: str | None, network: Network
) -> None:
    made = Grouped()
    made.own[0].serve("alone")
    made.own[0].place = place
    ending = asyncio.ensure_future(made.head.until_end("alone"))
    waiting = made.waiting(1)
    await settle()
    made.hear_all()
    made.clock.now += made.head.limits.end_s
    await made.head.peers[1].ask(CUT_OFF, "")
    made.clock.now += made.head.limits.end_s
    made.head.decide()
    await settle()
    assert not ending.done()
    assert not waiting.done()
    assert "older command" in made.said[-1]
    ending.cancel()
    waiting.cancel()


async def test_release_a_member_of_before_the_group_ends_when_it_is_asked_to() -> None:
    made = Grouped()
    made.own[1].serve("alone")
    made.own[1].place = None
    head = made.waiting(0)
    made.hear_all()
    await settle()
    assert "older command" in made.said[-1]
    assert await made.member.joined()
    made.member.wished("restart")
    exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await asyncio.wait_for(made.member.release("alone", exited), 5)
    head.cancel()


async def test_until_end_a_part_goes_on_with_a_host_that_was_reloaded() -> None:
    made = Grouped()
    generation = await made.serving()
    ends = [
        asyncio.ensure_future(made.head.until_end(generation)),
        asyncio.ensure_future(made.member.until_end(f"{generation}-1")),
    ]
    for rank, own in enumerate(made.own):
        before, own.place = own.place, "another group"
        made.hear(1 - rank, rank)
        own.place = before
    await settle()
    assert not any(end.done() for end in ends)
    for end in ends:
        end.cancel()


async def without_a_page_of_the_head(made: Grouped, turns: int) -> None:
    """Have a member that is connected to the head ask it in vain, every 10 s."""
    head = made.member.peers[0]
    head.look({HOSTS[0]})
    for _ in range(turns):
        await head.ask(CUT_OFF, "")
        made.clock.now += 10
        made.member.decide()


async def test_status_a_member_that_lacks_the_head_is_red_names_it_and_is_green_again(
    network: Network,
) -> None:
    made = Grouped()
    await made.serving()
    await without_a_page_of_the_head(made, 7)
    red = made.member.status()
    assert red.red is not None
    assert red.red.startswith("the head cannot be reached")
    assert red.awaited == AwaitedHost(f"{HOSTS[0]}:9840", "unreachable")
    made.member.asked_by(HOSTS[0])
    made.member.decide()
    assert made.member.status().red is None, "the head reads this host's page: it is there"
    made.clock.now += 70
    made.member.decide()
    assert made.member.status().red is not None
    made.hear(1, 0)
    assert (made.member.status().red, made.member.status().awaited) == (None, None)


@pytest.mark.parametrize("address", ["172.17.0.1", "::ffff:172.17.0.1"])
async def test_address_that_both_hosts_have_is_no_sign_of_the_other(
    address: str, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of docker0: a container of this host asks by it."""
    made = Grouped()
    await made.serving()
    made.member.peers[0].page = attrs.evolve(made.head.page(), addresses=("172.17.0.1", HOSTS[0]))
    await without_a_page_of_the_head(made, 7)
    bridge = ThisHost("b", {"docker0": ("172.17.0.1",)})
    monkeypatch.setattr(ThisHost, "look", lambda: bridge)
    made.member.asked_by(address)
    made.member.decide()
    assert made.member.status().red is not None
    made.member.asked_by(HOSTS[0])
    made.member.decide()
    assert made.member.status().red is None


async def test_status_a_member_of_a_head_whose_vllmd_is_down_stays_green(
    network: Network,
) -> None:
    network.cut = False
    made = Grouped()
    await made.serving()
    await without_a_page_of_the_head(made, 100)
    assert made.member.status().red is None
