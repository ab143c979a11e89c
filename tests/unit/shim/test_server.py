import json
import select
import socket
from pathlib import Path

import pytest

from vllmd.shim import protocol
from vllmd.shim.server import MAX_CLIENTS, Server


class Loop:
    """A server and the poll loop that a shim would run for it."""

    def __init__(self, path: Path) -> None:
        self.poll = select.poll()
        self.server = Server(str(path), self.poll, lambda request: {"echo": request.get("op")})
        self.path = path

    def turn(self) -> None:
        while ready := self.poll.poll(20):
            for fd, events in ready:
                self.server.handle(fd, events)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(2)
        client.connect(str(self.path))
        self.turn()
        return client


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path / "s.sock")


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


def test_endless_line_ends_the_connection(loop: Loop) -> None:
    client = loop.connect()
    client.setblocking(False)
    sent = 0
    while sent <= protocol.MAX_REQUEST_BYTES:
        sent += client.send(b"x" * 8192)
        loop.turn()
    client.settimeout(2)
    assert client.recv(10) == b""


def test_more_clients_than_allowed_are_turned_away(loop: Loop) -> None:
    clients = [loop.connect() for _ in range(MAX_CLIENTS)]
    extra = loop.connect()
    assert extra.recv(10) == b""
    clients[0].close()
    loop.turn()
    loop.connect().sendall(b'{"op":"a"}\n')


def test_close_tells_watchers_only_and_removes_the_socket(loop: Loop) -> None:
    watcher, other = loop.connect(), loop.connect()
    watcher.sendall(b'{"op":"watch"}\n')
    loop.turn()
    assert watcher.recv(1000) == b'{"echo":"status"}\n'
    loop.server.close({"bye": 1}, 1.0)
    assert watcher.recv(1000) == b'{"bye":1}\n'
    assert other.recv(1000) == b""
    assert not loop.path.exists()


def test_server_takes_the_place_of_a_dead_ones_socket(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.touch()
    assert Loop(path).connect()
