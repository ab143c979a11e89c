"""What breaks the protocol, or asks for more than it may, over HTTP/2."""

import asyncio
import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    HeadersFrame,
    PingFrame,
    SettingsFrame,
)

from tests.helpers import http2
from tests.helpers.eventually import eventually
from tests.helpers.http2 import Raw, data, head, plain_headers
from tests.helpers.http2_server import Made
from vllmd.http.connections import FLOOD, PROTOCOL
from vllmd.traces import http2 as server
from vllmd.traces.calls import CallStream
from vllmd.traces.http2 import MAX_STREAMS

FLOODS = """rapid-reset full-reset made-to-reset empty-data settings table ping priority window
    endless-headers header-bomb"""


VIOLATIONS = "window-overflow endless-streams long-frame no-stream even-stream bad-headers"


CALM = ErrorCodes.ENHANCE_YOUR_CALM


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


@pytest.mark.long
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
