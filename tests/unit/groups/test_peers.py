import json
import math
from typing import Any

import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.grouped import HOSTS, Grouped
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
    ("answer", "cut", "said"),
    [
        (_refused(), False, "refused"),
        (httpx.ConnectTimeout("timed out"), True, "timed out"),
        (503, False, "503"),
        ({"schema": 1}, False, "makes no sense"),
        ({"schema": 1, "host": "a", "rank": math.inf}, False, "makes no sense"),
        ({"schema": 1, "host": "a", "rank": 0, "generation": "g", "since": []}, False, "no sense"),
        (["no page"], False, "no page of vllmd"),
    ],
)
async def test_ask_what_does_not_answer_is_silent_and_only_what_cannot_be_reached_cut(
    answer: Any, cut: bool, said: str
) -> None:
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


def test_look_any_address_of_the_host_counts() -> None:
    clock = FakeClock()
    peer = watch(clock)
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
