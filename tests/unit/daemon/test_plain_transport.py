"""Engines are asked without httpx's own transport: whatever a server does, the same comes of it."""

import asyncio
import errno
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from vllmd.daemon.plain_transport import MAX_WAITING_BYTES, PlainTransport
from vllmd.scrape.page import _error_numbers

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LARGE = b"x" * 3 * MAX_WAITING_BYTES
HEAD = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"page" * 1000)


def saying(*blocks: bytes, close: bool = True) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for block in blocks:
            writer.write(block)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return answer


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def reset_in_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"content-length: 10\r\n\r\nhalf")
    await asyncio.sleep(0.1)
    await reset(reader, writer)


ANSWERS: dict[str, Answer] = {
    "length": saying(HEAD + b"content-length: 4\r\n\r\npage"),
    "length, left open": saying(HEAD + b"content-length: 4\r\n\r\npage", close=False),
    "chunks": saying(
        HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\npage\r\n",
        b"2\r\nof\r\n0\r\n\r\n",
        close=False,
    ),
    "until closed": saying(HEAD + b"\r\npage"),
    "large": saying(HEAD + b"content-length: %d\r\n\r\n" % len(LARGE) + LARGE),
    "gzip": saying(
        HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(PACKED) + PACKED
    ),
    "no gzip": saying(HEAD + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\npage"),
    "early hints": saying(
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", HEAD + b"content-length: 4\r\n\r\npage"
    ),
    "empty": saying(b"HTTP/1.1 204 No Content\r\n\r\n", close=False),
    "error": saying(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy"),
    "redirect": saying(
        b"HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    ),
    "nothing": saying(),
    "half a head": saying(HEAD + b"content-le"),
    "half a body": saying(HEAD + b"content-length: 10\r\n\r\nhalf"),
    "half a chunk": saying(HEAD + b"transfer-encoding: chunked\r\n\r\n9\r\npage"),
    "reset": reset,
    "reset in the body": reset_in_body,
    "no HTTP": saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "endless head": saying(HEAD + b"a: " + b"x" * 200_000, close=False),
    "silence": saying(close=False),
    "silence in the body": saying(HEAD + b"content-length: 10\r\n\r\nhalf", close=False),
}


@asynccontextmanager
async def serving(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Answer requests so once each has come whole."""
    open_now: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(reader, writer)
        except ConnectionError:  # whoever asked has seen enough
            writer.close()

    server = await asyncio.start_server(serve, host, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in open_now:
        writer.transport.abort()


async def outcome(transport: httpx.AsyncBaseTransport | None, url: str) -> tuple[object, ...]:
    """Return what was read, or the kind of error and the system's numbers in it."""
    timeout = httpx.Timeout(5, read=0.5)
    async with httpx.AsyncClient(trust_env=False, transport=transport, timeout=timeout) as client:
        try:
            answer = await client.get(url)
        except httpx.HTTPError as error:
            return type(error), _error_numbers(error)
        return answer.status_code, answer.headers.get("location"), answer.content


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_comes_is_what_httpx_itself_makes_of_it(name: str) -> None:
    async with serving(ANSWERS[name]) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        assert await outcome(PlainTransport(), url) == await outcome(None, url)


async def test_who_is_not_there_is_told_with_the_number_of_the_error() -> None:
    async with serving(saying()) as port:
        pass
    for host in ("127.0.0.1", "localhost", "[::1]"):
        kind, numbers = await outcome(PlainTransport(), f"http://{host}:{port}/")
        assert kind is httpx.ConnectError
        assert isinstance(numbers, frozenset)
        assert errno.ECONNREFUSED in numbers
    kind, numbers = await outcome(PlainTransport(), "http://nowhere.invalid/")
    assert kind is httpx.ConnectError
    assert isinstance(numbers, frozenset)
    assert any(number < 0 for number in numbers)


async def test_each_address_of_a_name_is_tried() -> None:
    async with serving(ANSWERS["length"]) as port:
        assert await outcome(PlainTransport(), f"http://localhost:{port}/") == (200, None, b"page")


async def test_a_host_that_does_not_connect_is_given_up_in_time() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), socket.socket() as second:
            second.setblocking(False)
            second.connect_ex(address)
            client = httpx.AsyncClient(transport=PlainTransport(), timeout=0.3)
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(f"http://127.0.0.1:{address[1]}/")


async def test_a_body_is_sent_with_its_headers_and_the_connection_ends_with_the_answer() -> None:
    seen: list[bytes] = []
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(10))
        writer.write(HEAD + b"content-length: 2\r\n\r\nok")
        assert await reader.read() == b""
        ended.set()

    async with serving(answer) as port, httpx.AsyncClient(transport=PlainTransport()) as client:
        response = await client.post(f"http://127.0.0.1:{port}/v1", json={"a": "é"})
        assert response.text == "ok"
        async with asyncio.timeout(5):
            await ended.wait()
    assert seen == ['{"a":"é"}'.encode()]


async def test_what_nobody_reads_is_left_with_the_engine() -> None:
    written = 0

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(HEAD + b"content-length: %d\r\n\r\n" % (64 * len(LARGE)))
        for _ in range(64):
            writer.write(LARGE)
            await writer.drain()
            written += len(LARGE)

    async with (
        serving(answer) as port,
        httpx.AsyncClient(transport=PlainTransport()) as client,
        client.stream("GET", f"http://127.0.0.1:{port}/") as response,
    ):
        await asyncio.sleep(0.5)
        assert written < 20 * MAX_WAITING_BYTES
        assert await anext(response.aiter_bytes())
