"""What a host finds out about the others of its group; they are pages at loopback addresses."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import attrs
import pytest

from tests.helpers.listening import Handler, listening
from tests.helpers.make import engine
from tests.helpers.ports import free_port
from vllmd.config.command import build
from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.config.group import GroupConfig
from vllmd.doctor import group as asked
from vllmd.doctor.group import JOIN_S, GroupFacts
from vllmd.groups.own import Identity
from vllmd.groups.page import GroupPage

OWN = Identity("hash", "0.32.0", "c0ffee")
ALIKE = GroupPage(
    "127.0.0.1", 1, "g", command_hash="hash", vllm="0.32.0", revision="c0ffee", state="waiting"
)


class Page(Handler):
    """A vllmd that gives one page of a group."""

    shown: Any = None

    def reply(self) -> None:
        self.answer(200, json.dumps(self.shown).encode())


@pytest.fixture
def port() -> Iterator[int]:
    with listening(Page) as url:
        yield int(url.rpartition(":")[2])


def facts(hosts: list[FleetHost], rank: int, *, runs: bool = False, join: int = 0) -> GroupFacts:
    group = GroupConfig(hosts=tuple(hosts), mode="tensor", port=join or free_port())
    return asyncio.run(asked._look("big", group, rank, OWN, FleetConfig(timeout_s=2), runs))


def other(port: int) -> list[FleetHost]:
    return [FleetHost("10.0.0.1"), FleetHost("127.0.0.1", port)]


def test_look_hosts_that_are_alike_have_nothing(port: int) -> None:
    Page.shown = ALIKE.to_json()
    found = facts(other(port), 0)
    assert (found.silent, found.differences, found.taken_by) == ({}, (), None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vllm": "0.33.0"}, "127.0.0.1 has vLLM 0.33.0, this host 0.32.0"),
        ({"revision": "f00d"}, "127.0.0.1 has revision f00d of the model, this host c0ffee"),
        ({"command_hash": "x"}, "the engine's table on 127.0.0.1 is another than on this host"),
    ],
)
def test_look_what_differs_is_named(port: int, change: dict[str, Any], words: str) -> None:
    Page.shown = attrs.evolve(ALIKE, **change).to_json()
    assert facts(other(port), 0).differences == (words,)


@pytest.mark.parametrize("shown", [{}, {"schema": 1}, {**ALIKE.to_json(), "rank": "x"}])
def test_look_page_that_makes_no_sense_is_no_page(port: int, shown: dict[str, Any]) -> None:
    Page.shown = shown
    assert "makes no sense" in facts(other(port), 0).silent["127.0.0.1"]


def test_look_host_without_a_vllmd_is_silent_with_its_reason() -> None:
    assert facts(other(free_port()), 0).silent == {"127.0.0.1": "Connection refused"}


@pytest.mark.parametrize(("runs", "told"), [(False, True), (True, False)])
def test_look_port_of_a_head_is_taken_unless_it_is_its_own(runs: bool, told: bool) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as made:
        join = made.getsockname()[1]
        found = facts(other(free_port()), 0, runs=runs, join=join).taken_by
    assert (found is not None) is told


@pytest.mark.parametrize(
    ("runs", "served", "for_s", "closed"),
    [
        (False, False, 1000, False),
        (True, False, 10, False),
        (True, False, JOIN_S + 10, True),
        (True, True, 10, True),
    ],
)
def test_look_port_of_a_head_that_refuses_is_closed_once_it_should_listen(
    port: int, runs: bool, served: bool, for_s: float, closed: bool
) -> None:
    page = attrs.evolve(ALIKE, rank=0, runs=runs, served=served, for_s=for_s)
    Page.shown = page.to_json()
    hosts = [FleetHost("127.0.0.1", port), FleetHost("10.0.0.2")]
    assert (facts(hosts, 1).closed is not None) is closed
    with closing(socket.create_server(("127.0.0.1", 0))) as made:
        assert facts(hosts, 1, join=made.getsockname()[1]).closed is None


def test_look_port_behind_a_wall_is_told_of_a_head_that_answers(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(*_: object) -> bool:
        return True

    Page.shown = attrs.evolve(ALIKE, rank=0).to_json()
    monkeypatch.setattr(asked, "is_cut", cut)
    hosts = [FleetHost("127.0.0.1", port), FleetHost("10.0.0.2")]
    assert "nothing comes back from port" in (facts(hosts, 1).closed or "")


def test_look_name_that_leads_to_this_host_is_told() -> None:
    found = facts([FleetHost("localhost", free_port()), FleetHost("127.0.0.1", free_port())], 1)
    assert "localhost" in found.loopback
    assert "127.0.0.1" not in found.loopback, "an address is meant as it is written"


def test_look_of_an_engine_of_one_host_asks_nobody() -> None:

    made = engine()
    assert asked.look("chat", made, build(made, {}), FleetConfig(), ()) is None
