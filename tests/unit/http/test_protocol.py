import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from starlette.types import Receive, Scope, Send

from tests.helpers.eventually import eventually
from tests.helpers.web import CERTIFICATES
from vllmd.http.asgi_server import AsgiServer
from vllmd.http.connections import Connection, ConnectionCounts, ConnectionLimits, ConnectionPhase
from vllmd.http.protocol import PIECE_BYTES, HttpProtocol
from vllmd.http.tls import server_context
from vllmd.http.web_config import TlsServer

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class App:
    """Answers once it may."""

    def __init__(self, body: bytes = b"here") -> None:
        self.body = body
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.connection: Connection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.connection = scope["state"]["connection"]
        await self.may_answer.wait()
        headers = [(b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@attrs.frozen
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: AsgiServer
    counts: ConnectionCounts

    @property
    def connection(self) -> Connection:
        (listener,) = self.server._listeners
        return listener.connections.all()[-1]

    def is_in(self, phase: ConnectionPhase) -> bool:
        (listener,) = self.server._listeners
        return any(c.phase is phase for c in listener.connections.all())


@asynccontextmanager
async def client_of(app: Any, limits: ConnectionLimits | None = None) -> AsyncIterator[Client]:
    listening = socket.create_server(("127.0.0.1", 0))
    counts = ConnectionCounts()
    server = AsgiServer(app, limits=limits, counts=counts)
    server.start(listening)
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        yield Client(reader, writer, server, counts)
    finally:
        writer.transport.abort()
        await server.end()


async def test_phases_of_a_request() -> None:
    app = App()
    app.may_answer.clear()
    async with client_of(app) as client:
        await eventually(lambda: client.is_in(ConnectionPhase.IDLE))
        client.writer.write(REQUEST[:9])
        await eventually(lambda: client.is_in(ConnectionPhase.HEAD))
        begun = client.connection.until
        client.writer.write(REQUEST[9:12])
        active_at = client.connection.active_at
        await eventually(lambda: client.connection.active_at > active_at)
        assert client.connection.until == begun  # a head that comes slowly has no more time
        client.writer.write(REQUEST[12:])
        await eventually(lambda: client.is_in(ConnectionPhase.WORKING))
        assert client.connection.until is None
        app.may_answer.set()
        assert (await client.reader.readuntil(b"here")).startswith(b"HTTP/1.1 200")
        await eventually(lambda: client.is_in(ConnectionPhase.IDLE))
        assert client.connection.until is not None


async def test_body_that_does_not_come_has_a_limit() -> None:
    app = App()
    app.may_answer.clear()
    async with client_of(app) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n123")
        await eventually(lambda: client.is_in(ConnectionPhase.BODY))
        assert client.connection.until is not None
        client.writer.write(b"456789")
        await eventually(lambda: client.is_in(ConnectionPhase.WORKING))
        app.may_answer.set()
        await client.reader.readuntil(b"here")


async def test_request_answered_before_its_body_came_has_a_limit_and_another_may_follow() -> None:
    async with client_of(App()) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n123")
        await client.reader.readuntil(b"here")
        await eventually(lambda: client.is_in(ConnectionPhase.BODY))
        client.writer.write(b"456789" + REQUEST)
        await client.reader.readuntil(b"here")


@pytest.mark.parametrize(
    ("sent", "limits", "reason"),
    [
        (b"", ConnectionLimits(), "idle"),
        (REQUEST[:9], ConnectionLimits(head_s=0), "head"),
        (b"garbage", ConnectionLimits(head_s=0), "head"),
        (REQUEST, ConnectionLimits(idle_s=0), "idle"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n",
            ConnectionLimits(body_s=0),
            "body",
        ),
    ],
)
async def test_phase_that_takes_too_long_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, limits: ConnectionLimits, reason: str
) -> None:
    monkeypatch.setattr("vllmd.http.listener.WAKE_S", 0.01)
    monkeypatch.setattr("vllmd.http.listener.FIRST_S", 0.01 if sent == b"" else 10)
    app = App()
    if reason == "body":
        app.may_answer.clear()
    async with client_of(app, limits) as client:
        client.writer.write(sent)
        async with asyncio.timeout(10):
            await client.reader.read()
        await eventually(lambda: client.counts.closed[reason] == 1)
        app.may_answer.set()


async def test_answer_that_nobody_reads_is_held_in_pieces_and_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vllmd.http.listener.WAKE_S", 0.01)
    app = App(bytes(20_000_000))
    async with client_of(app, ConnectionLimits(unread_s=0.05)) as client:
        client.writer.write(REQUEST)
        await eventually(lambda: client.is_in(ConnectionPhase.SENDING))
        transport = next(iter(client.server._state.connections)).transport
        assert transport.get_write_buffer_size() <= 65536
        await eventually(lambda: client.counts.closed["unread"] == 1)


async def test_answer_that_is_read_piece_by_piece_arrives_whole() -> None:
    body = bytes(range(256)) * 20_000
    async with client_of(App(body), ConnectionLimits(unread_s=60)) as client:
        client.writer.write(REQUEST)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head
        assert await client.reader.readexactly(len(body)) == body
        await eventually(lambda: client.is_in(ConnectionPhase.IDLE))


async def test_answer_that_was_slow_has_less_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vllmd.http.listener.WAKE_S", 0.01)
    app = App(bytes(20_000_000))
    async with client_of(app, ConnectionLimits(unread_s=60, answer_s=0.05)) as client:
        client.writer.write(REQUEST)
        await eventually(lambda: client.counts.closed["unread"] == 1)


async def test_closed_connection_keeps_no_timer() -> None:
    async with client_of(App()) as client:
        client.writer.write(REQUEST)
        await client.reader.readuntil(b"here")
        (protocol,) = client.server._state.connections
        assert isinstance(protocol, HttpProtocol)
        assert protocol.timeout_keep_alive_task is None


@pytest.mark.long
async def test_pipelined_requests_are_answered_in_order() -> None:
    async with client_of(App()) as client:
        client.writer.write(REQUEST * 1000)
        for _ in range(1000):
            await client.reader.readuntil(b"here")
        await eventually(lambda: client.is_in(ConnectionPhase.IDLE))


async def test_answer_over_tls_is_sent_whole_also_when_it_is_large() -> None:
    context = server_context(TlsServer("server.pem", "server.key"), CERTIFICATES)
    client = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    for size in (0, 4, 5_000_000):
        listening = socket.create_server(("127.0.0.1", 0))
        server = AsgiServer(App(b"x" * size), tls=lambda: context)
        server.start(listening)
        reader, writer = await asyncio.open_connection(
            "localhost", listening.getsockname()[1], ssl=client
        )
        for _ in range(2):
            writer.write(REQUEST)
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\n")
                assert len(await reader.readexactly(size)) == size
        writer.close()
        await server.end()


class Reads(App):
    """Reads the body, and answers how much there was."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            size += len(message["body"])
            more = message["more_body"]
        self.body = b"%d" % size
        await super().__call__(scope, receive, send)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("early", [False, True], ids=["awaited", "answered before it came"])
async def test_a_body_in_tiny_chunks_is_refused(early: bool) -> None:
    """It cost a second of CPU time for each megabyte, and let nobody else in between."""
    limits = ConnectionLimits(max_body_bytes=None)
    async with client_of(App() if early else Reads(), limits) as client:
        client.writer.write(CHUNKED)
        if early:
            await client.reader.readuntil(b"here")
        client.writer.write(b"1\r\nx\r\n" * 300 + b"0\r\n\r\n")
        answer = await client.reader.read()
        assert answer.startswith(b"" if early else b"HTTP/1.1 400 ")
        assert b" 200 " not in answer


@pytest.mark.parametrize(("size", "chunks"), [(3, 201), (2 * PIECE_BYTES, 2000), (10_000, 300)])
async def test_a_body_in_chunks_is_taken(size: int, chunks: int) -> None:
    async with client_of(Reads(), ConnectionLimits(max_body_bytes=None)) as client:
        chunk = b"%x\r\n%s\r\n" % (size, b"x" * size)
        client.writer.write(CHUNKED + chunk * chunks + b"0\r\n\r\n")
        answer = await client.reader.readuntil(b"%d" % (size * chunks))
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "lines", [b"a:b\r\n" * 12_000, b"a:b\n" * 200, b"a: b\r\n" + b" c\r\n" * 12_000]
)
@pytest.mark.parametrize("after_body", [False, True], ids=["head", "after a body"])
async def test_very_many_headers_are_refused(lines: bytes, after_body: bool) -> None:
    """Each of them cost CPU time and memory: 0.1 s and some megabytes a head."""
    async with client_of(Reads(), ConnectionLimits(max_body_bytes=None)) as client:
        before = CHUNKED + b"1\r\nx\r\n0\r\n" if after_body else REQUEST[:-2]
        client.writer.write(before + lines + b"\r\n")
        answer = await client.reader.read()
        assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_hundred_headers_are_taken() -> None:
    async with client_of(App()) as client:
        for _ in range(2):
            client.writer.write(REQUEST[:-2] + b"a:b\r\n" * 100 + b"\r\n")
            await client.reader.readuntil(b"here")
