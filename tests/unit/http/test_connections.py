import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from vllmd.http.connections import (
    ENDED,
    FULL,
    Connection,
    ConnectionCounts,
    ConnectionPhase,
    Connections,
    ConnectionTotals,
    peer_of,
)


class Open:
    """Connections by a clock that a test turns."""

    def __init__(self, bound: int | None = None) -> None:
        self.now = 0.0
        self.woken_at: list[float] = []
        self.cut: list[str] = []
        self.among = Connections(bound, ConnectionCounts(), lambda: self.now, self.woken_at.append)

    def add(self, name: str, peer: str = "a", phase: ConnectionPhase | None = None) -> Connection:
        self.now += 1
        connection = self.among.add(peer, lambda: self.cut.append(name), 10.0)
        if phase is not None:
            connection.enter(phase, None)
        return connection


def test_connections_full_closes_the_one_that_is_idle_longest() -> None:
    opened = Open(bound=3)
    opened.add("working", phase=ConnectionPhase.WORKING)
    opened.add("idle", phase=ConnectionPhase.IDLE)
    opened.add("idle since later", phase=ConnectionPhase.IDLE)
    opened.add("new")
    assert opened.cut == ["idle"]
    assert opened.among.counts.closed[FULL] == 1


def test_connections_full_without_an_idle_one_closes_the_oldest_without_a_head() -> None:
    opened = Open(bound=3)
    for name, phase in [
        ("works", ConnectionPhase.WORKING),
        ("head", ConnectionPhase.HEAD),
        ("later", ConnectionPhase.HEAD),
    ]:
        opened.add(name, phase=phase)
    opened.add("new")
    assert opened.cut == ["head"]


def test_connections_full_spares_the_peer_that_has_few() -> None:
    opened = Open(bound=4)
    opened.add("alone", peer="b", phase=ConnectionPhase.IDLE)
    for number in range(20):
        opened.add(str(number), phase=ConnectionPhase.WORKING)
    assert "alone" not in opened.cut
    assert len(opened.among) == 4


def test_connections_full_of_a_peer_s_own_do_not_refuse_another_peer() -> None:
    opened = Open(bound=4)
    for number in range(4):
        opened.add(str(number), phase=ConnectionPhase.WORKING)
    opened.add("another", peer="b")
    assert opened.cut == ["0"]


def test_sweep_closes_what_takes_too_long_and_counts_why() -> None:
    opened = Open()
    slow = opened.add("slow")
    slow.enter(ConnectionPhase.HEAD, 5)
    opened.add("other").enter(ConnectionPhase.WORKING, None)
    opened.now += 5
    opened.among.sweep()
    assert opened.cut == ["slow"]
    assert opened.among.counts.closed["head"] == 1
    assert opened.among.counts.open == 1


def test_sweep_is_asked_for_at_the_earliest_limit_and_not_at_rest() -> None:
    opened = Open()
    connection = opened.add("one")  # at 1: a first byte until 11
    connection.enter(ConnectionPhase.WORKING, None)
    connection.enter(ConnectionPhase.IDLE, 75)
    assert opened.woken_at == [11]
    opened.now = 11
    opened.among.sweep()
    assert opened.woken_at == [11, 76]
    opened.among.remove(connection, ENDED)
    opened.now = 76
    opened.among.sweep()
    assert opened.woken_at == [11, 76]


def test_remove_twice_counts_once() -> None:
    opened = Open()
    connection = opened.add("one")
    connection.close("idle")
    assert not opened.among.remove(connection, ENDED)
    assert opened.among.counts.closed["idle"] == 1
    assert opened.among.counts.closed[ENDED] == 0
    assert opened.among.counts.open == 0


def test_under_way_counts_requests_only() -> None:
    opened = Open()
    connection = opened.add("one", phase=ConnectionPhase.BODY)
    opened.add("two", phase=ConnectionPhase.HEAD)
    opened.add("three")
    assert opened.among.under_way() == 1
    told: list[bool] = []
    opened.among.at_rest = lambda: told.append(True)
    connection.enter(ConnectionPhase.IDLE, 75)
    assert told


def test_make_room_spares_what_is_beyond_the_last_phase() -> None:
    opened = Open()
    opened.add("works", phase=ConnectionPhase.WORKING)
    assert not opened.among.make_room("exhausted", last=ConnectionPhase.SENDING)
    assert opened.cut == []


def test_tallies_keep_the_counts_of_a_listener_that_is_made_anew() -> None:
    totals = ConnectionTotals()
    totals.of("exporter").accepted += 1
    assert totals.of("exporter").accepted == 1
    assert [name for name, _ in totals.items()] == ["exporter"]


class _Socket:
    def __init__(self, family: int) -> None:
        self.family = family


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("2001:db8:1:2:3::4", 5, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::", 5, 0, 0), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
    ],
)
def test_peer_of_ipv6_is_its_network(address: tuple[Any, ...], peer: str) -> None:
    make: Callable[[int], Any] = _Socket
    assert peer_of(make(socket.AF_INET6), address) == peer


def test_peer_of_unix_socket_is_the_user() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours, "") == f"uid {os.getuid()}"
