import asyncio
import socket

from tests.helpers.clock import FakeClock, settle
from tests.helpers.otlp import Taken
from vllmd.errors import VllmdError
from vllmd.http.connections import ConnectionTotals
from vllmd.traces.port import RETRY_S, Port, grpc_server, http_server


class FakeServer:
    def __init__(self) -> None:
        self.listener: socket.socket | None = None
        self.closed = False

    async def start(self, listener: socket.socket) -> None:
        self.listener = listener

    async def close(self) -> None:
        self.closed = True
        assert self.listener is not None
        self.listener.close()


class Host:
    """Where a port is taken by somebody else until it is not."""

    def __init__(self) -> None:
        self.taken = True
        self.server = FakeServer()
        self.port = Port("http", self.bind, lambda: self.server)

    def bind(self) -> socket.socket:
        if self.taken:
            raise VllmdError("127.0.0.1:4318 is in use")
        return socket.create_server(("127.0.0.1", 0))


async def test_a_port_that_somebody_else_has_is_tried_again() -> None:
    host, clock = Host(), FakeClock()
    assert not await host.port.open()
    assert host.port.problem == "127.0.0.1:4318 is in use"
    assert not host.port.up
    keeping = asyncio.create_task(host.port.keep_open(clock))
    await clock.advance(RETRY_S * 2)
    assert not keeping.done()
    host.taken = False
    await clock.advance(RETRY_S)
    await settle()
    assert keeping.done()
    assert host.port.up
    assert host.port.problem is None
    await host.port.close()
    assert host.server.closed
    assert not host.port.up


async def test_a_port_that_is_open_is_not_opened_again() -> None:
    host = Host()
    host.taken = False
    assert await host.port.open()
    first = host.server.listener
    assert await host.port.open()
    assert host.server.listener is first
    assert first is not None
    await host.port.close()
    await host.port.close()


async def test_both_receivers_serve_on_a_socket() -> None:
    intake, totals = Taken().intake, ConnectionTotals()
    for serve in (http_server, grpc_server):
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        port = Port(
            "any",
            lambda listener=listener: listener,  # type: ignore[misc]
            lambda serve=serve: serve(intake, totals),  # type: ignore[misc]
        )
        assert await port.open()
        with socket.create_connection(address):
            pass
        await port.close()
