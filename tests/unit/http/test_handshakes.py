import asyncio
import ssl
import struct
from asyncio.sslproto import SSLProtocol
from typing import Any

import pytest

from tests.helpers.eventually import eventually
from tests.helpers.web import client_hello, server_context
from tests.unit.http.test_listener import Echo, bound_socket, client_of
from vllmd.http import handshakes
from vllmd.http import listener as listener_module
from vllmd.http.connections import FULL, HANDSHAKE, ConnectionPhase
from vllmd.http.handshakes import AT_ONCE, BUFFER_BYTES, Handshakes, hello_bytes
from vllmd.http.listener import Listener


def record(message: bytes, kind: int = 22) -> bytes:
    return bytes([kind, 3, 1]) + struct.pack(">H", len(message)) + message


def hello_of(length: int) -> bytes:
    return b"\x01" + length.to_bytes(3) + bytes(length)


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (record(hello_of(200)), 209),
        (client_hello(), len(client_hello())),
        (record(hello_of(130_000)[:16_000]), None),
        (record(hello_of(100)[:3]) + bytes(9), None),
        (b"\x16\x03\x01\xff\xff" + hello_of(200), None),
        (record(hello_of(200), kind=23), None),
        (record(b"\x02" + bytes(100)), None),
        (b"GET /metrics HTTP/1.1", None),
        (b"\x80\x2e\x01\x03\x01" + bytes(9), None),
    ],
)
def test_hello_bytes_are_those_of_a_client_hello_only(start: bytes, length: int | None) -> None:
    assert hello_bytes(start[:9]) == length


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[SSLProtocol]:
    """What was made for TLS."""
    made: list[SSLProtocol] = []
    begin = SSLProtocol.__init__

    def noted(self: SSLProtocol, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        made.append(self)

    monkeypatch.setattr(SSLProtocol, "__init__", noted)
    return made


async def test_nothing_is_made_before_the_hello_is_whole(
    made: list[SSLProtocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_S", 600)  # a busy machine may take longer than 5 s
    monkeypatch.setattr(listener_module, "FIRST_S", 600)
    context = server_context()
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    _, silent = await client_of(listener)
    _, half = await client_of(listener)
    half.write(client_hello()[:-1])
    _, few = await client_of(listener)
    few.write(client_hello()[:4])
    phases = [ConnectionPhase.IDLE, ConnectionPhase.HEAD, ConnectionPhase.IDLE]
    await eventually(lambda: [c.phase for c in listener.connections.all()] == phases)
    assert not made
    half.write(client_hello()[-1:])
    await eventually(lambda: len(made) == 1)
    assert len(made[0]._ssl_buffer) == BUFFER_BYTES  # type: ignore[attr-defined]
    for each in (silent, half, few):
        each.close()
    await eventually(lambda: not len(listener.connections))
    listener.close()


@pytest.mark.parametrize("sent", [record(hello_of(130_000)[:16_000]), bytes(20), b"GET / HTTP/1.1"])
async def test_what_is_no_hello_is_closed_before_anything_is_made(
    made: list[SSLProtocol], sent: bytes
) -> None:
    listener = Listener("test", bound_socket(), Echo, tls=server_context)
    listener.start()
    reader, writer = await client_of(listener)
    writer.write(sent)
    try:
        answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    assert answer.startswith(b"HTTP/1.0 400 ") == sent.startswith(b"GET")
    await eventually(lambda: listener.connections.counts.closed[HANDSHAKE] == 1)
    assert not made
    listener.close()


async def test_hello_in_pieces_is_served() -> None:
    context = server_context()
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    host, port = listener.socket.getsockname()
    reader, writer = await asyncio.open_connection(host, port, ssl=client_context())
    writer.write(b"hello" * 50_000)
    assert await reader.readexactly(250_000) == b"hello" * 50_000
    writer.close()
    await eventually(lambda: not len(listener.connections))
    listener.close()


async def test_who_takes_all_handshakes_loses_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "AT_ONCE", 2)
    context = server_context()
    listener = Listener("test", bound_socket(), Echo, tls=lambda: context)
    listener.start()
    held = [await client_of(listener) for _ in range(4)]
    for _, writer in held:  # they never answer what the server says
        writer.write(client_hello())
    await eventually(lambda: listener.connections.counts.closed[FULL] == 2)
    assert len(listener.connections) == len(listener._handshakes) == 2
    host, port = listener.socket.getsockname()
    reader, writer = await asyncio.open_connection(host, port, ssl=client_context())
    writer.write(b"x")
    assert await reader.read(1) == b"x"
    await eventually(lambda: len(listener._handshakes) == 1)
    writer.close()
    listener.close()


class OneOf:
    def __init__(self, peer: str) -> None:
        self.peer, self.closed = peer, ""

    def close(self, reason: str) -> None:
        self.closed = reason


def test_begin_closes_one_of_the_peer_that_has_the_most() -> None:
    under_way = Handshakes()
    many = [OneOf("a") for _ in range(AT_ONCE)]
    for each in [OneOf("b"), *many]:
        under_way.begin(each)  # type: ignore[arg-type]
    assert [each.closed for each in many] == [FULL] + [""] * (AT_ONCE - 1)
    assert len(under_way) == AT_ONCE
