import json
import math
from typing import Any

import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.grouped import HOSTS, Grouped, Network
from vllmd.config.fleet import FleetHost
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.groups.peers import PeerWatch


def pages(answer: Any) -> HostPages:
    """Return what asks hosts that answer so; an exception is raised instead."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/groups/big"
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx.Response(answer)
        return httpx.Response(200, content=json.dumps(answer))

    return HostPages(PageAccess(), transport=httpx.MockTransport(handle))


def watch(clock: FakeClock, rank: int = 0) -> PeerWatch:
    return PeerWatch(FleetHost(HOSTS[0]), "big", rank, clock.monotonic)


async def test_ask_a_page_ends_the_silence() -> None:
    clock, made = FakeClock(), Grouped()
    peer = watch(clock)
    assert peer.known().heard is None
    await peer.ask(pages(made.head.page().to_json()), "")
    assert peer.known().heard == peer.page
    assert peer.page is not None
    assert peer.page.role == "head"


def _refused() -> httpx.ConnectError:
    """Return what httpx raises where nobody listens: the system's error is its cause."""
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    return error


@pytest.mark.parametrize(
    ("answer", "nothing_comes_back", "cut", "said"),
    [
        (_refused(), False, False, "refused"),
        (httpx.ConnectTimeout("timed out"), True, True, "timed out"),
        (httpx.ConnectTimeout("timed out"), None, False, "timed out"),
        (503, True, False, "503"),
        ({"schema": 1}, True, False, "makes no sense"),
        ({"schema": 1, "host": "a", "rank": math.inf}, True, False, "makes no sense"),
        (
            {"schema": 1, "host": "a", "rank": 0, "generation": "g", "for_s": []},
            True,
            False,
            "sense",
        ),
        (["no page"], True, False, "no page of vllmd"),
    ],
)
async def test_ask_what_does_not_answer_is_silent_and_only_what_cannot_be_reached_cut(
    answer: Any, nothing_comes_back: bool | None, cut: bool, said: str, network: Network
) -> None:
    network.cut = nothing_comes_back
    clock, made = FakeClock(), Grouped()
    peer = watch(clock)
    await peer.ask(pages(made.head.page().to_json()), "")
    for _ in range(2):
        await peer.ask(pages(answer), "")
        clock.now += 10
    known = peer.known()
    assert known.silent_s == 20
    assert (known.cut_s > 0) is cut
    assert said in known.problem
    assert known.heard is None


async def test_ask_a_host_at_another_place_of_its_own_list_is_not_heard() -> None:
    peer, made = watch(FakeClock(), rank=1), Grouped()
    await peer.ask(pages(made.head.page().to_json()), "")
    assert "the lists differ" in peer.known().problem


def test_look_before_its_page_was_read_only_a_connection_says_something() -> None:
    """The engine of a host may have other addresses than its name."""
    clock = FakeClock()
    peer = watch(clock)
    peer.look({"10.9.9.9"})
    clock.now += 5
    assert peer.is_connected
    peer.begin()
    peer.look({HOSTS[0]})
    assert peer.is_connected


async def test_worked_a_step_with_a_host_is_as_good_as_hearing_of_it(network: Network) -> None:
    clock = FakeClock()
    peer = watch(clock)
    peer.page = Grouped().head.page()
    peer.look(set())
    await peer.ask(pages(OSError(113, "No route to host")), "")
    clock.now += 100
    assert (peer.known().cut_s, peer.known().unconnected_s) == (100, 100)
    peer.worked(clock.now - 3)
    assert (peer.known().cut_s, peer.known().unconnected_s) == (3, 3)
    assert peer.known().silent_s == 100


def test_look_any_address_of_the_host_counts() -> None:
    clock = FakeClock()
    peer = watch(clock)
    peer.page = Grouped().head.page()
    peer.look({"10.9.9.9"})
    clock.now += 5
    peer.look(set())
    assert peer.known().unconnected_s == 5
    peer.look({HOSTS[0], "10.9.9.9"})
    assert peer.known().unconnected_s == 0
    peer.look(None)
    assert peer.is_connected


async def test_ask_a_name_that_no_resolver_takes_ends_nothing() -> None:
    peer = PeerWatch(FleetHost("a..b"), "big", 0, FakeClock().monotonic)
    await peer.ask(HostPages(PageAccess()), "")
    assert peer.known().problem
    assert peer.addresses == frozenset()


@pytest.mark.parametrize("field", ["state", "problem", "vllm", "generation", "failed_host"])
async def test_ask_what_ought_to_be_a_text_is_one(field: str) -> None:
    peer, made = watch(FakeClock()), Grouped()
    await peer.ask(pages({**made.head.page().to_json(), field: {"a": [1]}}), "")
    assert getattr(peer.page, field) == "{'a': [1]}"


@pytest.mark.parametrize(
    ("address", "is_there"),
    [("10.0.0.1", True), ("::ffff:10.0.0.1", True), ("10.0.0.9", False), ("testclient", False)],
)
async def test_host_that_asks_is_there_whatever_does_not_come_back_from_it(
    address: str, is_there: bool, network: Network
) -> None:
    """As behind a firewall that is closed in one direction."""
    network.cut = True
    clock, made = FakeClock(), Grouped()
    peer = watch(clock)
    page = {**made.head.page().to_json(), "addresses": ["10.0.0.1"]}
    await peer.ask(pages(page), "")
    await peer.ask(pages(httpx.ConnectTimeout("timed out")), "")
    clock.now += 100
    peer.asked_by(address)
    clock.now += 5
    known = peer.known()
    assert known.silent_s == 105
    assert known.cut_s == (5 if is_there else 105)
    assert (known.unanswered_s, known.is_reached) == (105, is_there)
    clock.now += 5
    assert not peer.known().is_reached, "it has not asked for so long"
