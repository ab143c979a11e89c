"""The server over HTTP/2, with a client that sends any frames; Google's client is in test_grpc."""

import asyncio
import gc
import random
import socket
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import attrs
import pytest
from h2.errors import ErrorCodes
from hpack import Decoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.helpers import http2
from tests.helpers.eventually import eventually
from tests.helpers.http2 import Raw, data, head, message, plain_headers
from tests.helpers.otlp import Taken, export
from vllmd.http.connections import FLOOD, PROTOCOL, ConnectionCounts
from vllmd.traces import http2 as server
from vllmd.traces.calls import CallStream
from vllmd.traces.frames import PREFACE
from vllmd.traces.grpc import GrpcReceiver, GrpcServer
from vllmd.traces.http2 import MAX_STREAMS
from vllmd.traces.unpack import ROOM_BYTES
from vllmd.util.units import MIB

FLOODS = """rapid-reset full-reset made-to-reset empty-data settings table ping priority window
    endless-headers header-bomb"""
VIOLATIONS = "window-overflow endless-streams long-frame no-stream even-stream bad-headers"
CALM = ErrorCodes.ENHANCE_YOUR_CALM


@attrs.frozen
class Made:
    """A server, what it takes, and how to reach it."""

    taken: Taken
    counts: ConnectionCounts
    server: GrpcServer
    address: tuple[str, int]

    async def client(self, use: Callable[[Raw], Any]) -> Any:
        """Let a connection be used in a thread."""

        def run() -> Any:
            with http2.raw(self.address) as connection:
                return use(connection)

        return await asyncio.to_thread(run)


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    taken, counts = Taken("sql"), ConnectionCounts()
    listening = socket.create_server(("127.0.0.1", 0))
    receiver = GrpcServer(GrpcReceiver(taken.intake), bound=16, counts=counts)
    await receiver.start(listening)
    yield Made(taken, counts, receiver, listening.getsockname())
    await receiver.close()
    taken.intake.room.take(ROOM_BYTES)  # all of it was given back


def call(connection: Raw, stream: int, body: bytes) -> None:
    framed = message(body)
    connection.send(head(stream, plain_headers()) + data(stream, framed, "END_STREAM"))


def status(connection: Raw, within_s: float = 10.0) -> str:
    """Return the status of the call, from the trailers or the headers."""
    decoder = Decoder()
    while connection.wait_frame(HeadersFrame, within_s):
        for frame in connection.frames():
            if isinstance(frame, HeadersFrame):
                got = cast("dict[str, str]", dict(decoder.decode(frame.data)))
                if "grpc-status" in got:
                    return str(got["grpc-status"])
                if got.get(":status") not in (None, "200"):
                    return f"HTTP {got[':status']}"
        decoder = Decoder()
        connection.read_now()
        if connection.closed:
            break
    return "none"


async def test_a_call_is_answered_and_its_memory_given_back(made: Made) -> None:
    body = export(2).SerializeToString()

    def use(connection: Raw) -> str:
        call(connection, 1, body)
        return status(connection)

    assert await made.client(use) == "0"
    assert made.taken.spans == 2


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({":method": "GET"}, "HTTP 405"),
        ({"content-type": "text/html"}, "2"),
        ({"te": "gzip"}, "none"),
        ({":path": "/other"}, "12"),
        ({"grpc-timeout": "soon"}, "13"),
        ({"content-type": "application/grpc+proto"}, "0"),
        ({"content-type": "application/grpc;x=y"}, "0"),
        ({"grpc-timeout": "5S"}, "0"),
        ({"grpc-timeout": "9" * 4000 + "H"}, "13"),
        ({"grpc-timeout": "99999999H"}, "0"),
        ({"x-binary-bin": "\xff\xfe"}, "0"),
    ],
)
async def test_a_call_is_judged_by_its_headers(
    made: Made, headers: dict[str, str], answer: str
) -> None:
    block = plain_headers(list({**dict(http2.HEADERS), **headers}.items()))

    def use(connection: Raw) -> str:
        connection.send(head(1, block) + data(1, message(b""), "END_STREAM"))
        return status(connection, 2.0)

    assert await made.client(use) == answer


async def test_an_answer_before_the_end_of_a_call_ends_its_stream(made: Made) -> None:
    block = plain_headers([*http2.HEADERS[:2], (":path", "/other"), *http2.HEADERS[3:]])

    def use(connection: Raw) -> Any:
        connection.send(head(1, block))
        return connection.wait_frame(RstStreamFrame)

    reset = await made.client(use)
    assert (reset.stream_id, reset.error_code) == (1, ErrorCodes.NO_ERROR)


async def test_pings_are_answered_and_a_connection_serves_many_calls(made: Made) -> None:
    """More calls than there is budget for their frames: those that end well give it back."""

    def use(connection: Raw) -> tuple[int, bool]:
        for number in range(150):
            call(connection, 1 + 2 * number, b"")
            connection.send(http2.PING + http2.WINDOW_UPDATE)
            while connection.frames_seen(DataFrame) <= number and not connection.closed:
                connection.read_now()
        return connection.frames_seen(DataFrame), connection.frames_seen(PingFrame) > 0

    assert await made.client(use) == (150, True)
    assert made.taken.kept.counts.requests == {("grpc", "accepted"): 150}


@pytest.mark.parametrize(
    "flood",
    [
        http2.rapid_reset,
        http2.full_reset,
        http2.made_to_reset,
        http2.empty_data,
        lambda c: http2.repeat(c, http2.SETTINGS, 400_000),
        lambda c: http2.repeat(c, http2.EMPTY_SETTINGS_TABLE, 100_000),
        lambda c: http2.repeat(c, http2.PING, 300_000),
        lambda c: http2.repeat(c, http2.PRIORITY, 100_000),
        lambda c: http2.repeat(c, http2.WINDOW_UPDATE, 100_000),
        http2.endless_headers,
        http2.header_bomb,
    ],
    ids=FLOODS.split(),
)
async def test_a_flood_ends_its_connection(made: Made, flood: Callable[[Raw], int]) -> None:
    def use(connection: Raw) -> tuple[bool, int | None]:
        flood(connection)
        return connection.wait_closed(), connection.goaway()

    closed, code = await made.client(use)
    assert closed
    assert code in (CALM, None), "a client that still sends may not see it"
    assert made.counts.closed[FLOOD] + made.counts.closed[PROTOCOL] == 1


@pytest.mark.parametrize(
    "violation",
    [
        http2.window_overflow,
        http2.endless_streams,
        lambda c: c.send(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01"),
        lambda c: c.send(data(5, b"never opened")),
        lambda c: c.send(head(2, plain_headers())),
        lambda c: c.send(head(1, b"\xff\xff\xff\xff")),
    ],
    ids=VIOLATIONS.split(),
)
async def test_what_breaks_the_protocol_ends_its_connection(
    made: Made, violation: Callable[[Raw], int]
) -> None:
    def use(connection: Raw) -> bool:
        violation(connection)
        return connection.wait_closed()

    assert await made.client(use)
    assert made.counts.closed[PROTOCOL] == 1
    assert made.taken.kept.counts.requests == {}


async def test_garbage_ends_its_connection_and_nothing_else(made: Made) -> None:
    """Frames at random: h2 must not raise what is not caught."""
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: problems.append(about))
    chance = random.Random(5)

    def use(connection: Raw) -> None:
        frames = []
        for _ in range(60):
            size = chance.choice((0, 1, 4, 5, 8, 40))
            kind, flags = chance.randrange(12), chance.choice((0, 1, 4, 5, 8, 32, 255))
            stream = chance.choice((0, 1, 1, 3, 2**31 - 1))
            valid = chance.random() < 0.3
            content = plain_headers() if kind == 1 and valid else chance.randbytes(size)
            frames.append(
                len(content).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + content
            )
        for frame in frames:
            if not connection.send(frame):
                return

    for _ in range(300):
        await made.client(use)
    assert problems == []
    await eventually(lambda: made.counts.open == 0)


async def test_plain_http_on_this_port_is_closed_at_once(made: Made) -> None:
    def use() -> bool:
        connection = Raw(made.address)
        connection.send(b"GET / HTTP/1.1\r\nHost: vllmd\r\n\r\n")
        return connection.wait_closed()

    assert await asyncio.to_thread(use)


@pytest.mark.long
@pytest.mark.parametrize("flood", [http2.rapid_reset, http2.full_reset])
async def test_streams_that_were_reset_leave_nothing_behind(
    made: Made, flood: Callable[[Raw, int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They did: 8 kB each, for ever, when their task was cancelled before its first step."""
    streams: weakref.WeakSet[CallStream] = weakref.WeakSet()

    def watched(*args: Any, **options: Any) -> CallStream:
        stream = CallStream(*args, **options)
        streams.add(stream)
        return stream

    monkeypatch.setattr(server, "CallStream", watched)
    assert await made.client(lambda connection: flood(connection, 30)) == 30
    await eventually(lambda: made.counts.open == 0)
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    await eventually(lambda: gc.collect() >= 0 and not streams, 20)


async def test_what_a_client_sets_is_not_kept_without_bound(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """h2 keeps settings that nobody knows, and headers of ours for as large a table as allowed."""
    protocols: list[server.Http2Protocol] = []
    begin = server.Http2Protocol.connection_made

    def watched(protocol: server.Http2Protocol, transport: Any) -> None:
        protocols.append(protocol)
        begin(protocol, transport)

    monkeypatch.setattr(server.Http2Protocol, "connection_made", watched)
    paths = [
        [*http2.HEADERS[:2], (":path", f"/{n}" + "x" * 500), *http2.HEADERS[3:]] for n in range(40)
    ]

    def use(connection: Raw) -> None:
        connection.send(SettingsFrame(0, settings={1: 2**31}).serialize())
        for code in range(0x1000, 0x1000 + 60):
            connection.send(http2.settings({code: 1, code + 100: 1}))
        for number, headers in enumerate(paths):
            connection.send(head(1 + 2 * number, plain_headers(headers), "END_STREAM"))
        while connection.frames_seen(HeadersFrame) < len(paths) and not connection.closed:
            connection.read_now()
        h2 = protocols[0]._h2
        assert len(h2.remote_settings) <= 8
        assert h2.encoder.header_table._maxsize <= 4096

    await made.client(use)
    assert made.taken.kept.counts.refused == {("grpc", "unfit"): 40}


async def test_no_task_is_made_for_a_call_that_has_not_come(made: Made) -> None:
    before = len(asyncio.all_tasks())

    def use(connection: Raw) -> int:
        http2.declared_only(connection, 1000, MAX_STREAMS)
        connection.send(http2.PING)
        assert connection.wait_frame(PingFrame)
        return len(asyncio.all_tasks(loop))

    loop = asyncio.get_running_loop()
    assert await made.client(use) <= before


async def test_messages_that_are_declared_and_not_sent_hold_no_room(made: Made) -> None:
    """They did, for ever: four of 16 MiB, and no batch of anybody was taken any more."""

    def use(connection: Raw) -> str:
        http2.declared_only(connection, 16 * MIB)
        connection.send(http2.PING)
        assert connection.wait_frame(PingFrame)
        with http2.raw(made.address) as other:
            call(other, 1, export(3).SerializeToString())
            return status(other)

    assert await made.client(use) == "0"
    assert made.taken.spans == 3


async def test_messages_that_are_half_sent_give_way_to_one_that_is_small(made: Made) -> None:
    def use(other: Raw) -> str:
        call(other, 1, export(3).SerializeToString())
        return status(other)

    def fill() -> list[Raw]:
        connections = [Raw(made.address, 20) for _ in range(4)]
        for connection in connections:
            http2.half_sent(connection, 15 * MIB)
        return connections

    connections = await asyncio.to_thread(fill)
    made.taken.intake.room.take(4 * MIB - 100)  # what is left over
    try:
        assert await made.client(use) == "0"
        assert made.taken.kept.counts.requests["grpc", "busy"] == 1, "the one that gave way"
    finally:
        made.taken.intake.room.give(4 * MIB - 100)
        for connection in connections:
            connection.close()
        await eventually(lambda: made.counts.open == 0)


async def test_one_connection_holds_no_more_than_one_message(made: Made) -> None:
    def use() -> str:
        connection = Raw(made.address, 20)
        try:
            http2.half_sent(connection, 16 * MIB)
            connection.send(head(3, plain_headers()) + data(3, bytes(4096)))
            return status(connection)
        finally:
            connection.close()

    assert await asyncio.to_thread(use) == "14"


async def test_a_message_that_does_not_come_in_time_is_refused(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BODY_START_S", 0.05)
    monkeypatch.setattr(server, "allowed_s", lambda _: 0.1)

    def use(connection: Raw) -> str:
        http2.declared_only(connection, 1000, 1)
        return status(connection)

    assert await made.client(use) == "4"
    assert made.taken.kept.counts.refused == {("grpc", "slow"): 1}


async def test_a_client_that_gives_no_window_gets_its_answer_once_it_does(made: Made) -> None:
    def use(connection: Raw) -> tuple[bool, str]:
        connection.send(SettingsFrame(0, settings={4: 0}).serialize())
        call(connection, 1, b"")
        connection.send(http2.PING)
        assert connection.wait_frame(PingFrame)
        early = any(isinstance(frame, HeadersFrame) for frame in connection.frames())
        connection.send(WindowUpdateFrame(1, window_increment=100).serialize())
        return early, status(connection)

    assert await made.client(use) == (False, "0")


async def test_a_client_that_never_gives_a_window_loses_its_stream(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ANSWER_S", 0.1)

    def use(connection: Raw) -> Frame | None:
        connection.send(SettingsFrame(0, settings={4: 0}).serialize())
        call(connection, 1, b"")
        return connection.wait_frame(RstStreamFrame)

    assert await made.client(use) is not None


@pytest.mark.parametrize(
    ("limit", "sent", "reason"),
    [
        ("FIRST_CALL_S", b"", "idle"),
        ("IDLE_S", head(1, plain_headers()) + data(1, message(b""), "END_STREAM"), "idle"),
    ],
)
async def test_a_connection_that_is_idle_is_told_and_closed(
    made: Made, monkeypatch: pytest.MonkeyPatch, limit: str, sent: bytes, reason: str
) -> None:
    monkeypatch.setattr(server, limit, 0.05)
    monkeypatch.setattr(server, "LINGER_S", 0.05)

    def use(connection: Raw) -> tuple[bool, int | None]:
        connection.send(sent)
        return connection.wait_closed(), connection.goaway()

    assert await made.client(use) == (True, ErrorCodes.NO_ERROR)
    assert made.counts.closed[reason] == 1


async def test_closing_the_server_lets_calls_under_way_end(made: Made) -> None:
    def use(connection: Raw) -> tuple[str, int | None, bool]:
        connection.send(head(1, plain_headers()) + data(1, message(b"")[:3]))
        connection.send(http2.PING)
        assert connection.wait_frame(PingFrame)
        closing = asyncio.run_coroutine_threadsafe(made.server.close(), loop)
        assert connection.wait_frame(GoAwayFrame)
        connection.send(data(1, message(b"")[3:], "END_STREAM"))
        found = status(connection)
        closing.result(10)
        return found, connection.goaway(), connection.wait_closed()

    loop = asyncio.get_running_loop()
    assert await made.client(use) == ("0", ErrorCodes.NO_ERROR, True)


async def test_a_preface_in_pieces_is_fine(made: Made) -> None:
    def use() -> str:
        connection = Raw(made.address)
        for byte in PREFACE:
            connection.send(bytes((byte,)))
        connection.send(SettingsFrame(0).serialize())
        call(connection, 1, b"")
        found = status(connection)
        connection.close()
        return found

    assert await asyncio.to_thread(use) == "0"
