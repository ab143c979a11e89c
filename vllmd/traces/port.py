"""One receiver on its port: bound when it can be, and tried again while somebody else has it."""

import socket
from collections.abc import Callable
from typing import Protocol

import structlog

from vllmd.errors import VllmdError
from vllmd.events.base import emit
from vllmd.events.traces import TracesUnavailable
from vllmd.http import asgi_server
from vllmd.http.connections import ConnectionLimits, ConnectionTotals
from vllmd.http.listener import bound_of
from vllmd.traces.grpc import GRPC, GrpcReceiver, GrpcServer
from vllmd.traces.http import HttpReceiver
from vllmd.traces.intake import Intake
from vllmd.traces.unpack import BODY_TIMEOUT_S
from vllmd.util.clock import Clock

RETRY_S = 10.0
HTTP = "otlp-http"

_log = structlog.get_logger()


class RunningReceiver(Protocol):
    """A receiver that serves."""

    async def start(self, listener: socket.socket) -> None:
        """Serve from now on."""
        ...

    async def close(self) -> None:
        """End, once what runs has ended."""
        ...


class Port:
    """A receiver's port; `problem` says why it is not open."""

    def __init__(
        self, protocol: str, bind: Callable[[], socket.socket], serve: Callable[[], RunningReceiver]
    ) -> None:
        self.protocol = protocol
        self.problem: str | None = None
        self._bind = bind
        self._serve = serve
        self._running: RunningReceiver | None = None

    @property
    def up(self) -> bool:
        """Whether it is open."""
        return self._running is not None

    async def open(self) -> bool:
        """Try to open it; returns whether it is open.

        Raises nothing where the port is taken or may not be bound: `problem` says so, and an event
        once.
        """
        if self._running is not None:
            return True
        try:
            listener = self._bind()
        except VllmdError as error:
            if self.problem is None:
                emit(
                    _log,
                    TracesUnavailable(
                        protocol=self.protocol,
                        problem=str(error),
                        consequence="spans do not reach vllmd; it tries again",
                    ),
                )
            self.problem = str(error)
            return False
        running = self._serve()
        await running.start(listener)
        self._running = running
        self.problem = None
        return True

    async def keep_open(self, clock: Clock) -> None:
        """Try until it is open, every `RETRY_S` seconds."""
        while not await self.open():
            await clock.sleep(RETRY_S)

    async def close(self) -> None:
        """Close it."""
        if self._running is not None:
            await self._running.close()
            self._running = None


def http_server(intake: Intake, totals: ConnectionTotals) -> RunningReceiver:
    """Return a receiver over HTTP."""
    unlimited_body = ConnectionLimits(body_s=BODY_TIMEOUT_S + 5, max_body_bytes=None)
    return asgi_server.Background(
        HttpReceiver(intake),
        name=HTTP,
        limits=unlimited_body,
        bound=bound_of(HTTP),
        counts=totals.of(HTTP),
    )


def grpc_server(intake: Intake, totals: ConnectionTotals) -> RunningReceiver:
    """Return a receiver over gRPC."""
    return GrpcServer(GrpcReceiver(intake), bound=bound_of(GRPC), counts=totals.of(GRPC))
