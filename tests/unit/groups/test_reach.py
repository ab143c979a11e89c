"""Whose fault it is that a page cannot be read: only a host that nothing comes from is cut off."""

import asyncio
import contextlib
import errno
import gzip
import json
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.grouped import Grouped
from tests.helpers.ports import free_port
from tests.helpers.web import CERTIFICATES
from vllmd.config.fleet import FleetHost
from vllmd.engine.group_interface import UNREACHABLE, UNREADABLE
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.groups import reach
from vllmd.groups.peers import MAX_BYTES, PeerWatch
from vllmd.groups.reach import is_cut

LOOPBACK = "127.0.0.1"
HEARD = Grouped().head.page()
PAGE = json.dumps(HEARD.to_json()).encode()


def answer(code: int = 200, body: bytes = PAGE, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} x", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def peer_that_says(said: bytes | None, certificate: str | None = None) -> AsyncIterator[int]:
    """Run a host that answers so, or never; yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.read(4096)
            if said is None:
                await reader.read()
            writer.write(said or b"")
            await writer.drain()
        writer.close()

    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = (CERTIFICATES / f"{certificate}.pem", CERTIFICATES / f"{certificate}.key")
        tls.load_cert_chain(*pair)
    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def asked_by(ca: str | None, timeout_s: float = 5.0) -> HostPages:
    if ca is None:
        return HostPages(PageAccess(timeout_s=timeout_s))
    return HostPages(PageAccess(ssl.create_default_context(cafile=CERTIFICATES / f"{ca}.pem")))


async def seen(pages: HostPages | None, port: int, name: str = LOOPBACK) -> PeerWatch:
    """Ask a host twice, an hour after it was heard of."""
    clock = FakeClock()
    peer = PeerWatch(FleetHost(name, port), "big", 0, clock.monotonic)
    peer.page, peer._resolved = HEARD, frozenset({LOOPBACK})
    peer.heard()
    for _ in range(2):
        await peer.ask(pages, "no password can be read")
        clock.now += 3600
    if pages is not None:
        await pages.close()
    return peer


GARBLED = answer(200, b"no gzip", "content-encoding: gzip")
BOMB = answer(200, gzip.compress(b" " * 100 * MAX_BYTES), "content-encoding: gzip")


@pytest.mark.parametrize(
    ("said", "certificate", "ca", "reason"),
    [
        (answer(), "expired", "authority", "not trusted"),
        (answer(), "expired", "expired", "certificate has expired"),
        (answer(), "future", "future", "certificate is not yet valid"),
        (answer(), "server", "stranger", "not trusted"),
        (answer(), "server", None, "answers no HTTP"),
        (answer(), None, "authority", "does not speak TLS"),
        (answer(401), None, None, "wants another user or password"),
        (answer(403), None, None, "answered 403"),
        (answer(302, b"", "location: http://198.51.100.1/"), None, None, "answered 302"),
        (answer(200, b"x" * (MAX_BYTES + 1)), None, None, "sends more than"),
        (BOMB, None, None, "sends more than"),
        (GARBLED, None, None, ""),
        (b"SSH-2.0-OpenSSH\r\n", None, None, "answers no HTTP"),
        (b"", None, None, "answers no HTTP"),
        (answer(200, b"{"), None, None, "no page of vllmd"),
    ],
)
async def test_a_page_that_cannot_be_read_is_no_host_that_is_lost(
    said: bytes, certificate: str | None, ca: str | None, reason: str
) -> None:
    async with peer_that_says(said, certificate) as port:
        peer = await seen(asked_by(ca), port)
    known = peer.known()
    assert known.silent_s > 3600
    assert known.cut_s == 0
    assert known.is_reached
    assert reason in known.problem


@pytest.mark.parametrize(
    ("said", "certificate", "ca", "silence"),
    [
        (answer(), "expired", "authority", UNREADABLE),
        (answer(401), None, None, UNREADABLE),
        (None, None, None, UNREACHABLE),
    ],
)
async def test_silence_says_whether_the_host_answers(
    said: bytes | None, certificate: str | None, ca: str | None, silence: str
) -> None:
    async with peer_that_says(said, certificate) as port:
        peer = await seen(asked_by(ca, timeout_s=0.1), port)
    assert peer.silence == silence


async def test_a_vllmd_that_hangs_is_no_host_that_is_lost() -> None:
    async with peer_that_says(None) as port:
        peer = await seen(asked_by(None, timeout_s=0.1), port)
    assert "no answer within" in peer.known().problem
    assert peer.known().cut_s == 0


async def test_a_vllmd_that_is_down_is_no_host_that_is_lost() -> None:
    peer = await seen(asked_by(None), free_port())
    assert "refused" in peer.known().problem
    assert peer.known().cut_s == 0


@pytest.mark.parametrize("up", [True, False])
async def test_a_password_that_cannot_be_read_here_is_no_host_that_is_lost(up: bool) -> None:
    async with peer_that_says(answer()) as port:
        peer = await seen(None, port if up else free_port())
    assert peer.known().problem == "no password can be read"
    assert peer.known().cut_s == 0
    assert peer.silence == UNREADABLE


@pytest.mark.parametrize("there", [True, False])
async def test_a_name_that_no_server_knows_any_more_is_looked_for_where_it_was(
    there: bool, full: int
) -> None:
    async with peer_that_says(answer()) as port:
        peer = await seen(asked_by(None), port if there else full, name="gone.invalid")
    assert peer.known().problem
    assert (peer.known().cut_s > 0) is not there


async def test_a_name_that_never_was_known_says_nothing_of_the_host() -> None:
    peer = PeerWatch(FleetHost("gone.invalid"), "big", 0, FakeClock().monotonic)
    await peer.ask(asked_by(None), "")
    assert peer.known().cut_s == 0
    assert not peer.known().is_reached


async def test_a_host_without_a_descriptor_to_ask_with_loses_nobody() -> None:
    pages, port = asked_by(None), free_port()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as next_one:
        lowest = next_one.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limit[1]))
    try:
        peer = await seen(pages, port)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert "Too many open files" in peer.known().problem
    assert peer.known().cut_s == 0
    assert not peer.known().is_reached


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with peer_that_says(answer()) as port:
        peer = await seen(asked_by(None), port)
    assert peer.known().heard is not None


# --- by TCP alone ------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port from which nothing comes back, as from a host without power: its queue is full."""
    monkeypatch.setattr(reach, "CONNECT_S", 0.2)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((LOOPBACK, 0))
        server.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


async def test_is_cut_where_nothing_comes_back_from_any_address(full: int) -> None:
    assert await is_cut({LOOPBACK}, full) is True
    with socket.create_server(("127.0.0.2", full)):
        assert await is_cut({LOOPBACK, "127.0.0.2"}, full) is False
    assert await is_cut({LOOPBACK, "127.0.0.2"}, full) is False, "one refuses"
    assert await is_cut(set(), full) is None


@pytest.mark.parametrize(
    ("number", "cut"),
    [
        (errno.EHOSTUNREACH, True),
        (errno.ETIMEDOUT, True),
        (errno.ECONNREFUSED, False),
        (errno.ECONNRESET, False),
        (errno.ENETUNREACH, None),
        (errno.ENETDOWN, None),
        (errno.EADDRNOTAVAIL, None),
        (errno.EPERM, None),
        (errno.EACCES, None),
        (errno.EMFILE, None),
    ],
)
async def test_is_cut_what_this_host_cannot_do_says_nothing_of_the_other(
    monkeypatch: pytest.MonkeyPatch, number: int, cut: bool | None
) -> None:
    async def refused(*_: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", refused)
    assert await is_cut({LOOPBACK}, 9840) is cut
