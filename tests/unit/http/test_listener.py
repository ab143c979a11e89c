import asyncio
import contextlib
import errno
import gc
import os
import socket
import ssl
import struct
import weakref
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.eventually import eventually
from tests.helpers.web import client_hello, server_context
from vllmd.events.requests import ListenerExhausted
from vllmd.http.connections import ENDED, EXHAUSTED, FULL, HANDSHAKE, Connection, ConnectionPhase
from vllmd.http.listener import BOUNDS, MIN_BOUND, RESERVED, Listener, bound_of


class Echo(asyncio.Protocol):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.connection.enter(ConnectionPhase.WORKING, None)
        self.transport.write(data)


def bound_socket() -> socket.socket:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    return listening


async def client_of(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*listener.socket.getsockname())


async def test_listener_hands_connections_to_protocols() -> None:
    listener = Listener("test", bound_socket(), Echo)
    listener.start()
    reader, writer = await client_of(listener)
    writer.write(b"hello")
    assert await reader.read(5) == b"hello"
    assert listener.connections.counts.open == 1
    writer.close()
    await eventually(lambda: not len(listener.connections))
    assert listener.connections.counts.closed["ended"] == 1
    listener.close()


async def test_listener_full_closes_the_oldest_idle_one() -> None:
    listener = Listener("test", bound_socket(), Echo, bound=2)
    listener.start()
    first, _a = await client_of(listener)
    await eventually(lambda: len(listener.connections) == 1)
    second, _b = await client_of(listener)
    await eventually(lambda: len(listener.connections) == 2)
    third, writer = await client_of(listener)
    assert await first.read() == b""
    writer.write(b"x")
    assert await third.read(1) == b"x"
    assert not second.at_eof()
    assert listener.connections.counts.closed[FULL] == 1
    listener.close()


async def test_listener_paused_leaves_who_connects_waiting_and_goes_on() -> None:
    listener = Listener("test", bound_socket(), Echo)
    listener.start()
    listener.pause()
    reader, writer = await client_of(listener)
    writer.write(b"x")
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(listener.connections) == 0
    listener.start()
    assert await reader.read(1) == b"x"
    listener.close()


async def test_drain_waits_for_what_is_under_way() -> None:
    made: list[Connection] = []

    def serve(connection: Connection) -> Echo:
        made.append(connection)
        return Echo(connection)

    listener = Listener("test", bound_socket(), serve)
    listener.start()
    _, writer = await client_of(listener)
    writer.write(b"x")
    await eventually(lambda: made and made[0].phase is ConnectionPhase.WORKING)
    assert not await listener.drain(0)
    draining = asyncio.create_task(listener.drain(60))
    await asyncio.sleep(0)
    made[0].enter(ConnectionPhase.IDLE, None)
    assert await draining
    listener.close()


class NoDescriptors:
    """A socket whose accept fails, as in a process that has no descriptor left."""

    def __init__(self, inner: socket.socket, failures: int, number: int = errno.EMFILE) -> None:
        self.inner = inner
        self.failures = failures
        self.number = number

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures > 0:
            self.failures -= 1
            raise OSError(self.number, os.strerror(self.number))
        return self.inner.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def test_listener_without_descriptors_says_so_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vllmd.http.listener.PAUSE_S", 0.01)
    listening: Any = NoDescriptors(bound_socket(), failures=1)
    listener = Listener("test", listening, Echo)
    with capture_logs() as logs:
        listener.start()
        given_up, _a = await client_of(listener)
        assert await given_up.read() == b""  # accepted with the reserve, and closed
        listening.failures = 3
        reader, writer = await client_of(listener)
        writer.write(b"x")
        await asyncio.wait({asyncio.create_task(reader.read(1))}, timeout=5)
        reader, writer = await client_of(listener)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
    assert [log["event"] for log in logs] == [ListenerExhausted.name]
    assert logs[0]["problem"] == "Too many open files"
    assert listener.connections.counts.closed[EXHAUSTED] >= 1
    listener.close()


async def test_listener_without_descriptors_gives_up_an_idle_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vllmd.http.listener.PAUSE_S", 0.01)
    listening: Any = NoDescriptors(bound_socket(), failures=0)
    listener = Listener("test", listening, Echo)
    listener.start()
    idle, _a = await client_of(listener)
    await eventually(lambda: len(listener.connections) == 1)
    listening.failures = 1
    reader, writer = await client_of(listener)
    assert await idle.read() == b""
    writer.write(b"x")
    assert await reader.read(1) == b"x"  # it waited for the room that was made
    listener.close()


async def test_listener_error_of_a_connection_is_passed_over() -> None:
    listening: Any = NoDescriptors(bound_socket(), failures=2, number=errno.ECONNABORTED)
    listener = Listener("test", listening, Echo)
    with capture_logs() as logs:
        listener.start()
        reader, writer = await client_of(listener)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
    assert logs == []
    listener.close()


async def test_listener_handshake_that_fails_is_counted() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    reader, writer = await client_of(listener)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.read()
    await eventually(lambda: listener.connections.counts.closed[HANDSHAKE])
    assert listener.connections.counts.open == 0
    listener.close()


@pytest.mark.long
@pytest.mark.parametrize("end", ["half closed", "reset", "garbage", "cut"])
async def test_listener_handshake_that_fails_leaves_no_memory_behind(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Each left 300 kB until garbage was collected, which is seldom: 300 MB within seconds."""
    context, begun = server_context(), []
    made: weakref.WeakSet[SSLProtocol] = weakref.WeakSet()
    begin = SSLProtocol.__init__

    def noted(self: SSLProtocol, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        made.add(self)
        begun.append(True)

    monkeypatch.setattr(SSLProtocol, "__init__", noted)
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    gc.collect()
    gc.disable()
    try:
        _, writer = await client_of(listener)
        writer.write(client_hello() + (b"GET / HTTP/1.1" if end == "garbage" else b""))
        await eventually(lambda: begun)
        if end == "half closed":
            writer.write_eof()
        elif end == "reset":
            writer.transport.abort()
        elif end == "cut":
            (connection,) = listener.connections.all()
            connection.close("head")
        await eventually(lambda: not len(listener.connections) and not made)
    finally:
        gc.enable()
    listener.close()


@pytest.mark.parametrize("left", [True, False])
async def test_listener_begins_no_tls_for_a_client_that_has_left(
    monkeypatch: pytest.MonkeyPatch, left: bool
) -> None:
    """Thousands of those may wait before others: to begin for each took 2 s of CPU time."""
    context = server_context()
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    listener.pause()
    begun: list[bool] = []
    connect = Listener._connect

    async def noted(self: Listener, *given: Any) -> None:
        begun.append(True)
        await connect(self, *given)

    monkeypatch.setattr(Listener, "_connect", noted)
    _, writer = await client_of(listener)
    writer.write(client_hello())
    if left:
        writer.write_eof()
    listener.start()
    counts = listener.connections.counts
    await eventually(lambda: counts.accepted == 1 and bool(begun) is not left)
    assert counts.closed[HANDSHAKE] == left
    writer.close()
    listener.close()


@pytest.mark.parametrize(
    ("sent", "begun"), [(b"", False), (b"x", True)], ids=["left", "asked and ended"]
)
async def test_listener_makes_no_connection_for_a_client_that_has_left(
    sent: bytes, begun: bool
) -> None:
    """4,096 may wait before others. One that has asked and ended still wants its answer."""
    made: list[Connection] = []

    def serve(connection: Connection) -> Echo:
        made.append(connection)
        return Echo(connection)

    listener = Listener("test", bound_socket(), serve)
    listener.start()
    listener.pause()
    reader, writer = await client_of(listener)
    writer.write(sent)
    writer.write_eof()
    await writer.drain()
    listener.start()
    counts = listener.connections.counts
    await eventually(lambda: counts.accepted == 1 and counts.closed[ENDED] == 1)
    assert await reader.read() == sent
    assert bool(made) is begun
    writer.close()
    listener.close()


async def test_listener_makes_no_connection_for_a_client_that_was_reset() -> None:
    listener = Listener("test", bound_socket(), Echo)
    listener.start()
    listener.pause()
    client = socket.create_connection(listener.socket.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    listener.start()
    counts = listener.connections.counts
    await eventually(lambda: counts.accepted == 1)
    assert counts.closed[ENDED] == 1
    assert not len(listener.connections)
    listener.close()


async def test_listener_connection_cut_in_its_handshake_is_closed() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    reader, writer = await client_of(listener)
    await eventually(lambda: len(listener.connections) == 1)
    (connection,) = listener.connections.all()
    assert connection.phase is ConnectionPhase.IDLE
    writer.write(client_hello()[:20])
    await eventually(lambda: connection.phase is ConnectionPhase.HEAD)
    connection.close("head")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    listener.close()


async def test_close_cuts_what_is_open() -> None:
    listener = Listener("test", bound_socket(), Echo)
    listener.start()
    reader, _writer = await client_of(listener)
    await eventually(lambda: len(listener.connections) == 1)
    listener.close()
    assert await reader.read() == b""
    assert listener.socket.fileno() == -1


@pytest.mark.parametrize("open_files", [64, 256, 512, 1024, 65536])
def test_bounds_leave_descriptors_to_the_rest_of_the_daemon(open_files: int) -> None:
    bounds = [bound_of(name, open_files) for name in BOUNDS]
    assert sum(bounds) <= open_files - min(RESERVED, open_files // 2)
    assert min(bounds) >= MIN_BOUND


def test_bounds_are_whole_at_the_usual_limit() -> None:
    found: Callable[[str], int] = lambda name: bound_of(name, 1024)  # noqa: E731
    assert {name: found(name) for name in BOUNDS} == BOUNDS


async def test_listener_without_descriptors_holds_fewer_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vllmd.http.listener.MINUTE_S", 0.05)
    listening: Any = NoDescriptors(bound_socket(), failures=0)
    listener = Listener("test", listening, Echo, bound=20)
    listener.start()
    held = [await client_of(listener) for _ in range(10)]
    await eventually(lambda: len(listener.connections) == 10)
    listening.failures = 1
    held.append(await client_of(listener))
    await eventually(lambda: listener.connections.bound == 5)
    await eventually(lambda: listener.connections.bound == 20)
    listener.close()
