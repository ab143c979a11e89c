"""The server over HTTP/2, with a client that sends any frames; Google's client is in test_grpc."""

import asyncio
from typing import Any

import pytest
from h2.errors import ErrorCodes
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
from tests.helpers.http2_server import Made, call, status
from tests.helpers.otlp import export
from vllmd.traces import http2 as server
from vllmd.traces.frames import PREFACE
from vllmd.util.units import MIB


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


@pytest.mark.long
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


@pytest.mark.long
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
