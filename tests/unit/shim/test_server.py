import json
import select
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.shim_loop import Loop, lines
from vllmd.shim import protocol
from vllmd.shim.server import (
    MAX_ANSWERS,
    MAX_CLIENTS,
    MAX_PENDING_BYTES,
    MAX_WATCHERS,
    ShimConnection,
)


def test_requests_in_one_packet_are_answered_in_order(loop: Loop) -> None:
    client = loop.connect()
    client.sendall(b'{"op":"a"}\n{"op":"b"}\n')
    loop.turn()
    assert client.recv(1000) == b'{"echo":"a"}\n{"echo":"b"}\n'


def test_request_in_two_packets_is_put_together(loop: Loop) -> None:
    client = loop.connect()
    client.sendall(b'{"op"')
    loop.turn()
    client.sendall(b':"a"}\n')
    loop.turn()
    assert client.recv(1000) == b'{"echo":"a"}\n'


def test_garbage_gets_an_error_and_the_connection_lives(loop: Loop) -> None:
    client = loop.connect()
    client.sendall(b"garbage\n")
    loop.turn()
    assert "error" in json.loads(client.recv(1000))
    client.sendall(b'{"op":"a"}\n')
    loop.turn()
    assert client.recv(1000) == b'{"echo":"a"}\n'


@pytest.mark.parametrize("more", [1, 8192, 10_000_000])
def test_endless_line_is_answered_once_and_passed_over(loop: Loop, more: int) -> None:
    client = loop.connect()
    left = memoryview(b"x" * (protocol.MAX_REQUEST_BYTES + more))
    client.setblocking(False)
    while left:
        left = left[client.send(left[:65536]) :]
        loop.turn()
        (served,) = loop.server._clients.values()
        assert len(served.received) <= 2 * protocol.MAX_REQUEST_BYTES
    (answer,) = lines(client)
    assert "longer than 65536" in answer["error"]
    client.sendall(b'xx\n{"op":"a"}\n')
    loop.turn()
    assert lines(client) == [{"echo": "a"}]


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"\xff\xfe\x00",
        b"[]",
        b"",
        b"nan",
        b'{"op":NaN}',
        b"9" * 5000,
        b'{"op":"watch","op":Infinity}',
    ],
)
def test_line_that_is_no_request_is_answered_with_a_sentence(loop: Loop, line: bytes) -> None:
    client = loop.connect()
    client.sendall(line + b"\n")
    loop.turn()
    (answer,) = lines(client)
    assert answer["error"].startswith("not a request: ")
    assert loop.mistakes.count == 0


def test_mistake_in_an_answer_is_counted_and_the_connection_lives(
    loop: Loop, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(_: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    client, answer = loop.connect(), loop.answer
    loop.answer = fails
    client.sendall(b'{"op":"watch"}\n')
    loop.turn()
    assert lines(client) == [{"error": "the shim failed at it: ZeroDivisionError"}]
    assert loop.mistakes.count == 1
    assert "ZeroDivisionError" in capfd.readouterr().err
    loop.answer = answer
    client.sendall(b'{"op":"b"}\n')
    loop.turn()
    assert lines(client) == [{"echo": "b"}]


def test_mistake_with_a_client_costs_that_client_only(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other = loop.connect(), loop.connect()
    first = next(iter(loop.server._clients.values()))
    monkeypatch.setattr(first, "next_line", lambda: 1 // 0)
    for client in (broken, other):
        client.sendall(b'{"op":"a"}\n')
    loop.turn()
    assert broken.recv(10) == b""
    assert lines(other) == [{"echo": "a"}]
    assert loop.mistakes.count == 1


def test_client_that_does_not_read_is_not_read_from(loop: Loop) -> None:
    loop.answer = lambda _: {"lines": ["x" * 60_000]}
    client, other = loop.connect(), loop.connect()
    client.sendall(b'{"op":"tail"}\n' * 100)
    for _ in range(50):
        for fd, events in loop.poll.poll(0):
            loop.server.handle(fd, events)
    pending = [len(each.pending) for each in loop.server._clients.values()]
    assert sum(pending) < 3 * 60_100
    other.sendall(b'{"op":"a"}\n')
    loop.turn()
    assert len(lines(other)) == 1
    answered = 0
    while answered < 100:  # and once it reads, all are answered
        answered += client.recv(1 << 20).count(b"\n")
        loop.turn()


def test_clients_that_do_not_read_are_given_up_before_they_fill_the_memory(loop: Loop) -> None:
    loop.answer = lambda _: {"lines": ["x" * 400_000]}
    clients = [loop.connect() for _ in range(10)]
    for client in clients:
        client.sendall(b'{"op":"tail"}\n' * 3)
        loop.turn()
        pending = sum(len(each.pending) for each in loop.server._clients.values())
        assert pending <= MAX_PENDING_BYTES
    left = len(loop.server._clients)
    assert 1 <= left < 10


def test_flood_of_requests_is_answered_in_turns(loop: Loop) -> None:
    client = loop.connect()
    client.sendall(b'{"op":1}\n' * 3000)
    ((fd, events),) = loop.poll.poll(20)
    asked = 0

    def count(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {}

    loop.answer = count
    loop.server.handle(fd, events)
    assert asked == MAX_ANSWERS
    while asked < 3000:
        assert lines(client)
        loop.turn()


def test_more_clients_than_allowed_the_longest_idle_gives_way(loop: Loop) -> None:
    clients = [loop.connect() for _ in range(MAX_CLIENTS)]
    clients[0].sendall(b'{"op":"watch"}\n')
    clients[1].sendall(b'{"op":"a"}\n')
    loop.turn()
    extra = loop.connect()
    assert clients[2].recv(10) == b""
    extra.sendall(b'{"op":"a"}\n')
    loop.turn()
    assert lines(extra) == lines(clients[1]) == [{"echo": "a"}]
    assert lines(clients[0]) == [{"echo": "status"}]
    assert len(loop.server._clients) == MAX_CLIENTS


def test_watchers_leave_room_for_others(loop: Loop) -> None:
    watchers = [loop.connect() for _ in range(MAX_WATCHERS + 1)]
    for client in watchers:
        client.sendall(b'{"op":"watch"}\n')
        loop.turn()
    watchers[0].sendall(b'{"op":"watch"}\n')  # once more is no other
    loop.turn()
    assert [len(lines(client)) for client in watchers[:-1]] == [2] + [1] * (MAX_WATCHERS - 1)
    assert lines(watchers[-1]) == [{"error": f"{MAX_WATCHERS} clients watch already"}]


def test_client_that_hangs_up_while_it_is_answered_is_let_go(loop: Loop) -> None:
    loop.answer = lambda _: {"lines": ["x" * 400_000]}
    client = loop.connect()
    client.sendall(b'{"op":"tail"}\n' * 3)
    loop.turn()
    client.close()
    loop.turn()
    assert loop.server._clients == {}


def test_empty_line_is_a_request_of_its_own(loop: Loop) -> None:
    client = loop.connect()
    client.sendall(b'\n{"op":"a"}\n{"op":"b"}\n')
    loop.turn()
    refused, *answers = lines(client)
    assert "error" in refused
    assert answers == [{"echo": "a"}, {"echo": "b"}]


def test_server_takes_the_place_of_a_dead_ones_socket(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.touch()
    assert Loop(path).connect()


def test_flush_to_a_client_that_is_gone_says_so() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    client = ShimConnection(ours)
    assert client.flush() is True
    client.pending = b"an answer"
    assert client.flush() is False
    ours.close()


def test_serve_a_client_that_still_has_to_be_told_something_is_asked_nothing(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    client = ShimConnection(ours)
    client.pending = b"x" * 10_000_000
    client.received += b'{"op":"a"}\n'
    assert loop.server._serve(client, select.POLLOUT) is True
    assert client.received
    assert client.pending.endswith(b"x")
    ours.close()
    theirs.close()


def test_accept_of_a_client_that_is_gone_already_is_nothing(loop: Loop) -> None:
    class Gone:
        def fileno(self) -> int:
            return 99

        def accept(self) -> None:
            raise ConnectionAbortedError

    loop.server._listener = Gone()  # type: ignore[assignment]
    loop.server.handle(99, select.POLLIN)
    assert loop.server._clients == {}


def test_listen_again_makes_a_socket_that_was_removed_and_keeps_who_is_connected(
    loop: Loop,
) -> None:
    before = loop.connect()
    loop.path.unlink()
    loop.server.listen_again()
    for client in (before, loop.connect()):
        client.sendall(b'{"op":"a"}\n')
        loop.turn()
        assert client.recv(1000) == b'{"echo":"a"}\n'
    assert loop.path.stat().st_mode & 0o777 == 0o600
    assert not loop.server._listener.getblocking()


def test_listen_again_leaves_a_socket_that_is_there(loop: Loop) -> None:
    made = loop.path.stat().st_ino
    loop.server.listen_again()
    assert loop.path.stat().st_ino == made
    loop.connect()


def test_status_once_changed_is_answered_when_it_is_another_one(loop: Loop) -> None:
    figures = {"output_bytes": 1}
    loop.answer = lambda _: dict(figures)
    client, other = loop.connect(), loop.connect()
    client.sendall(b'{"op":"status","once_changed":true}\n')
    loop.turn()
    assert client.recv(1000) == b'{"output_bytes":1}\n'  # it knew none
    client.sendall(b'{"op":"status","once_changed":true}\n')
    other.sendall(b'{"op":"status"}\n')
    loop.turn()
    loop.server.tell_changes()
    assert other.recv(1000) == b'{"output_bytes":1}\n'
    client.setblocking(False)
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1000)
    figures["output_bytes"] = 2
    for _ in range(3):  # once
        loop.server.tell_changes()
    assert client.recv(1000) == b'{"output_bytes":2}\n'
    with pytest.raises(BlockingIOError):
        other.recv(1000)


def test_status_once_changed_of_a_client_that_has_gone_harms_nobody(loop: Loop) -> None:
    figures = {"output_bytes": 1}
    loop.answer = lambda _: dict(figures)
    client = loop.connect()
    client.sendall(b'{"op":"status"}\n{"op":"status","once_changed":true}\n')
    loop.turn()
    client.close()
    figures["output_bytes"] = 2
    loop.server.tell_changes()
    loop.turn()
    assert loop.mistakes.count == 0
    assert loop.server._clients == {}
