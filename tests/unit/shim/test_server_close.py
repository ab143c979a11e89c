"""The end of a shim's server: who waits learns of it, and nobody holds it up."""

import socket
import threading
import time

from tests.helpers.shim_loop import Loop, lines


def test_close_tells_watchers_only_and_removes_the_socket(loop: Loop) -> None:
    watcher, other = loop.connect(), loop.connect()
    watcher.sendall(b'{"op":"watch"}\n')
    loop.turn()
    assert watcher.recv(1000) == b'{"echo":"status"}\n'
    loop.server.close({"bye": 1}, 1.0)
    assert watcher.recv(1000) == b'{"bye":1}\n'
    assert other.recv(1000) == b""
    assert not loop.path.exists()


def test_close_those_who_read_learn_the_end_though_others_do_not(loop: Loop) -> None:
    stuck, watcher = loop.connect(), loop.connect()
    watcher.sendall(b'{"op":"watch"}\n')
    loop.turn()
    assert lines(watcher) == [{"echo": "status"}]
    loop.answer = lambda _: {"lines": ["x" * 300_000]}
    stuck.sendall(b'{"op":"watch"}\n')
    loop.turn()
    loop.path.unlink()  # somebody's hand
    loop.server.close({"bye": 1}, 0.05)
    assert lines(watcher) == [{"bye": 1}]


def test_close_waits_for_nobody_once_its_time_is_over(loop: Loop) -> None:
    class Waiting(socket.socket):
        def settimeout(self, value: float | None) -> None:
            waited.append(value or 0.0)
            super().settimeout(value)

    waited: list[float] = []
    watchers = [loop.connect() for _ in range(3)]
    for watcher in watchers:
        watcher.sendall(b'{"op":"watch"}\n')
        loop.turn()
    for client in loop.server._clients.values():
        client.connection = Waiting(fileno=client.connection.detach())
    waited.clear()
    loop.server.close({"bye": 1}, 0.0)
    assert len(waited) == len(watchers)
    assert max(waited) < 0.1


def test_close_waits_for_a_watcher_that_is_slow(loop: Loop) -> None:
    client = loop.connect()
    client.settimeout(20)
    client.sendall(b'{"op":"watch"}\n')
    loop.turn()
    (served,) = loop.server._clients.values()
    served.pending = b"x" * 10_000_000
    got = bytearray()

    def read() -> None:
        time.sleep(0.2)
        while block := client.recv(1 << 20):
            got.extend(block)

    reading = threading.Thread(target=read)
    reading.start()
    loop.server.close({"exit_code": 0}, 20)
    reading.join()
    assert got.endswith(b'x{"exit_code":0}\n')
