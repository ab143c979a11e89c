import asyncio
import contextlib
import errno
import gc
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.helpers.eventually import eventually
from vllmd.http import asgi_server
from vllmd.http.asgi_server import AsgiServer, Background, RestartableServer
from vllmd.http.connections import ConnectionCounts, ConnectionLimits


def saying(text: str) -> Starlette:
    async def say(request: Request) -> Response:
        await request.body()
        return PlainTextResponse(text)

    return Starlette(routes=[Route("/", say, methods=["GET", "POST"])])


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[AsgiServer, str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = AsgiServer(app, **options)
    server.start(listener)
    host, port = listener.getsockname()
    try:
        yield server, host, port
    finally:
        await server.end()


async def answer_to(host: str, port: int, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(raw)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_server_serves_until_closed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = AsgiServer(saying("here"))
    running = asyncio.create_task(server.run_on(listener))
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert response.text == "here"
    server.close()
    await asyncio.wait_for(running, 5)
    assert listener.fileno() == -1


class NoDescriptor(socket.socket):
    def dup(self) -> "NoDescriptor":
        raise OSError(errno.EMFILE, "Too many open files")


async def test_renew_socket_that_cannot_be_served_leaves_the_first_as_it_was() -> None:
    first = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{first.getsockname()[1]}/"
    server = RestartableServer(lambda: AsgiServer(saying("here")), first)
    running = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    with NoDescriptor() as second, pytest.raises(OSError, match="Too many open files"):
        server.renew(second)
    assert first.fileno() >= 0
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(url)).text == "here"
    server.close()
    await asyncio.wait_for(running, 5)


async def test_server_answers_what_is_under_way_when_it_ends() -> None:
    begun, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(_: Request) -> Response:
        begun.set()
        await may_answer.wait()
        return PlainTextResponse("done")

    async with serving(Starlette(routes=[Route("/", slow)])) as (server, host, port):
        request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
        asking = asyncio.create_task(answer_to(host, port, request))
        await begun.wait()
        ending = asyncio.create_task(server.end())
        await asyncio.sleep(0)
        may_answer.set()
        assert (await asking).endswith(b"done")
        await ending


async def test_server_changes_its_app_while_it_serves() -> None:
    async with serving(saying("old")) as (server, host, port), httpx.AsyncClient() as client:
        url = f"http://{host}:{port}/"
        assert (await client.get(url)).text == "old"
        server.app = saying("new")
        assert (await client.get(url)).text == "new"  # on the same connection


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"content-length: 5\r\ntransfer-encoding: chunked", b"400"),
        (b"transfer-encoding: chunked\r\ncontent-length: 5", b"400"),
        (b"transfer-encoding: chunked", b"411"),
        (b"content-length: 65537", b"413"),
    ],
)
async def test_server_refuses_a_request_that_is_unfit_and_closes(
    head: bytes, status: bytes
) -> None:
    async with serving(saying("here")) as (_, host, port):
        raw = b"POST / HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        answer = await answer_to(host, port, raw)
        assert answer.split(b" ")[1] == status
        assert answer.count(b"HTTP/1.1") == 1


async def test_server_whose_app_looks_after_bodies_takes_large_ones() -> None:
    limits = ConnectionLimits(max_body_bytes=None)
    async with serving(saying("here"), limits=limits) as (_, host, port):
        async with httpx.AsyncClient() as client:
            response = await client.post(f"http://{host}:{port}/", content=bytes(200_000))
        assert response.text == "here"


async def test_answers_that_nobody_reads_are_bounded_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asgi_server, "HELD_BYTES", 1)

    async def page(_: Request) -> Response:
        return Response(b"x" * 20_000_000)  # each its own

    counts = ConnectionCounts()
    app = Starlette(routes=[Route("/", page)])
    async with serving(app, counts=counts) as (_, host, port):
        open_ones = []
        for _ in range(asgi_server.SOME + 2):
            _, writer = await asyncio.open_connection(host, port, limit=1)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            open_ones.append(writer)
        await eventually(lambda: counts.closed["unread"] == 2)
        assert counts.open == asgi_server.SOME
        for writer in open_ones:
            writer.transport.abort()


@pytest.mark.long
async def test_connections_that_are_reset_leave_nothing_behind() -> None:
    counts = ConnectionCounts()
    async with serving(saying("here"), counts=counts) as (server, host, port):
        for _ in range(20):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"here")
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()
        await eventually(lambda: counts.open == 0)
        assert not server._state.connections
        gc.collect()
        kept = [o for o in gc.get_objects() if type(o).__name__ == "HttpProtocol"]
        assert len(kept) <= 1  # the last one, by a frame


HEADS = [
    b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
]
PIECES = [
    *HEADS,
    b"GET / HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.0\r\n",
    b"GET /\xc3 HTTP/1.1\r\n",
    b"GET /%ff?%zz HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"host: x\r\n",
    b"content-length: 5, 5\r\n",
    b"content-length: -1\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: gzip\r\n",
    b"expect: 100-continue\r\n",
    b": x\r\n",
    b" folded\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"ZZ\r\n",
    b"\x00\xff",
]


@pytest.mark.long
@pytest.mark.parametrize("max_body_bytes", [65536, None])
async def test_whatever_a_client_sends_is_no_mistake_of_ours(
    max_body_bytes: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    drawn = random.Random(1)

    async def say(request: Request) -> Response:
        if drawn.random() < 0.5:
            await request.body()
        return PlainTextResponse("x" * drawn.choice([1, 100_000]))

    app = Starlette(routes=[Route("/", say, methods=["GET", "POST"])])
    limits, counts = ConnectionLimits(max_body_bytes=max_body_bytes), ConnectionCounts()
    async with serving(app, limits=limits, counts=counts) as (_, host, port):
        for _ in range(400):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(drawn.choice(HEADS))
            for _ in range(drawn.randint(1, 4)):
                writer.write(b"".join(drawn.choices(PIECES, k=drawn.randint(1, 8))))
                await asyncio.sleep(0)
            if drawn.random() < 0.5:
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(reader.read(1000), 0.005)
            writer.transport.abort()
        await eventually(lambda: counts.open == 0)
    assert raised == []
    assert caplog.records == []


async def test_mistake_of_the_app_is_told_and_answered_with_500() -> None:
    told: list[Exception] = []

    @contextlib.contextmanager
    def isolated() -> Iterator[None]:
        try:
            yield
        except ZeroDivisionError as error:
            told.append(error)

    def mistake(_: Request) -> Response:
        raise ZeroDivisionError

    app = Starlette(routes=[Route("/", mistake)])
    async with serving(app, isolated=isolated) as (_, host, port):
        request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        assert (await answer_to(host, port, request)).startswith(b"HTTP/1.1 500 ")
    assert len(told) == 1


async def test_background_serves_beside_whoever_started_it() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Background(saying("here"))
    await server.start(listener)
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert response.text == "here"
    async with asyncio.timeout(5):
        await server.close()
    await Background(saying("here")).close()
