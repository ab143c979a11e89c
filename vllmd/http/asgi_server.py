"""ASGI applications on listeners of the daemon's own: uvicorn's protocol, without its server.

uvicorn's server takes the process's signals, is woken ten times a second, and has no bound.
"""

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from vllmd.http.connections import Connection, ConnectionCounts, ConnectionLimits, ConnectionTotals
from vllmd.http.listener import Listener, Tls, bound_of
from vllmd.http.protocol import HttpProtocol
from vllmd.util.units import KIB, MIB

SHUTDOWN_S = 3
SETTLE_S = 0.1
PIECE_BYTES = 64 * KIB
"""How much of an answer is copied for its client at a time."""
HELD_BYTES = 48 * MIB
"""How much may wait for slow clients in all; an answer that many wait for counts once."""
SOME = 4
"""Different answers that may wait, however large they are."""

Isolated = Callable[[], contextlib.AbstractContextManager[None]]
Protocol = Callable[[uvicorn.Config, ServerState, Connection, ConnectionLimits], HttpProtocol]


def _is_a_mistake(record: logging.LogRecord) -> bool:
    """Tell what is said of an application from what clients do wrong, and from an end in order."""
    error = record.exc_info[1] if record.exc_info else None
    return error is not None and not isinstance(error, asyncio.CancelledError)


logging.getLogger("uvicorn.error").addFilter(_is_a_mistake)


class AsgiServer:
    """An application on sockets that are already bound; `app` can be changed while it serves."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        name: str = "http",
        protocol: Protocol = HttpProtocol,
        limits: ConnectionLimits | None = None,
        bound: int | None = None,
        counts: ConnectionCounts | None = None,
        tls: Tls = lambda: None,
        isolated: Isolated = contextlib.nullcontext,
    ) -> None:
        """Make a server; `bound`, `counts` and `tls` are the listener's.

        Each request is answered within `isolated`, which takes what the application raises.
        """
        self.app = app
        self._name = name
        self._protocol = protocol
        self._limits = limits or ConnectionLimits()
        self._isolated = isolated
        self._bound, self._counts, self._tls = bound, counts or ConnectionCounts(), tls
        self._state = ServerState()
        self._held = _Held()
        self._listeners: list[Listener] = []
        self._stop = asyncio.Event()
        self._config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http=HttpProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self._config.load()

    def start(self, listening: socket.socket) -> None:
        """Serve on a socket from now on."""
        listener = Listener(
            self._name,
            listening,
            lambda connection: self._protocol(self._config, self._state, connection, self._limits),
            bound=self._bound,
            counts=self._counts,
            tls=self._tls,
        )
        self._listeners.append(listener)
        listener.start()

    async def run_on(self, *sockets: socket.socket) -> None:
        """Serve on the sockets until `close`; they are closed then."""
        for each in sockets:
            self.start(each)
        try:
            await self._stop.wait()
            await self.end()
        finally:
            self._cut()

    def close(self) -> None:
        """Let `run_on` finish what is running and return."""
        self._stop.set()

    async def end(self) -> None:
        """Stop accepting, give what was just accepted the time to send its request, then end.

        Without it, a scrape that connected a moment before a restart would be cut.
        """
        for listener in self._listeners:
            listener.pause()
        await asyncio.sleep(SETTLE_S)
        for protocol in list(self._state.connections):
            protocol.shutdown()
        await asyncio.gather(*(listener.drain(SHUTDOWN_S) for listener in self._listeners))
        self._cut()

    def _cut(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for task in list(self._state.tasks):
            task.cancel()

    # --- one request ---------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if problem := _problem_of(scope, self._limits.max_body_bytes):
            await _refuse(send, *problem)
            return
        with self._isolated(), contextlib.suppress(ClientDisconnect):
            await self.app(scope, receive, self._in_pieces(scope, send))

    def _in_pieces(self, scope: Scope, send: Send) -> Send:
        """Send a large answer piece by piece, so that one that nobody takes costs little."""
        connection: Connection = scope["state"]["connection"]

        async def piecewise(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= PIECE_BYTES:
                await send(message)
                return
            more = message.get("more_body", False)
            self._held.take(body, connection)
            try:
                for start in range(0, len(body), PIECE_BYTES):
                    end = start + PIECE_BYTES
                    piece = {**message, "body": body[start:end]}
                    await send({**piece, "more_body": more or end < len(body)})
            finally:
                self._held.give_back(connection)

        return piecewise


def bounded(
    totals: ConnectionTotals,
    isolated: Callable[[str], contextlib.AbstractContextManager[None]],
    name: str,
    app: ASGIApp,
    **options: Any,
) -> AsgiServer:
    """Return a server with the bound of that listener, counted and isolated under its name."""
    own = functools.partial(isolated, name)
    return AsgiServer(
        app, name=name, bound=bound_of(name), counts=totals.of(name), isolated=own, **options
    )


class _Held:
    """The answers that wait for their clients, and how much memory they take."""

    def __init__(self) -> None:
        self._bodies: dict[Connection, bytes] = {}  # in the order of their beginning

    def take(self, body: bytes, connection: Connection) -> None:
        """Hold one more; those that wait longest are given up if it is too much."""
        self._bodies[connection] = body
        most = max(HELD_BYTES, SOME * len(body))
        for slowest in list(self._bodies):
            if self._size() <= most or slowest is connection:
                return
            self.give_back(slowest)
            slowest.close("unread")

    def give_back(self, connection: Connection) -> None:
        """Hold it no more."""
        self._bodies.pop(connection, None)

    def _size(self) -> int:
        return sum({id(body): len(body) for body in self._bodies.values()}.values())


def _problem_of(scope: Scope, max_body_bytes: int | None) -> tuple[int, str] | None:
    """Say why a request is refused whatever it asks for: the status, and a sentence."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    chunked, length = b"transfer-encoding" in headers, headers.get(b"content-length")
    if chunked and length is not None:
        return 400, "a request has either Content-Length or Transfer-Encoding, not both"
    if max_body_bytes is None:
        return None
    if chunked:
        return 411, "send the body with Content-Length, not in chunks"
    if length is not None and int(length) > max_body_bytes:
        return 413, f"the body is too large: up to {max_body_bytes} bytes are taken"
    return None


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = f"{sentence}\n".encode()
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class RestartableServer:
    """A server that can be begun again on its socket, should it fail."""

    def __init__(self, make: Callable[[], AsgiServer], listener: socket.socket) -> None:
        """Take over a socket that is bound; `close` closes it."""
        self._make = make
        self._listener = listener
        self._server: AsgiServer | None = None
        self._closed = False

    async def run(self) -> None:
        """Serve until `close`.

        Raises: RuntimeError: the server ended by itself.
        """
        if self._closed:
            return
        self._server = self._make()
        await self._server.run_on(self._listener.dup())  # the server closes what it gets
        if not self._closed:
            raise RuntimeError("the server ended unexpectedly")

    def renew(self, listener: socket.socket) -> None:
        """Serve on another socket in place of the first, which nobody can reach any more.

        Raises: OSError: it cannot be served; all is as before.
        """
        served = listener.dup()
        self._listener.close()
        self._listener = listener
        if self._server is None:
            served.close()  # `run` serves it
        else:
            self._server.start(served)

    def close(self) -> None:
        """Accept no more, and let `run` finish what is running and return."""
        self._closed = True
        self._listener.close()
        if self._server is not None:
            self._server.close()


class Background:
    """A server that runs beside whoever started it."""

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        """Make one; the options are those of `AsgiServer`."""
        self._server = AsgiServer(app, **options)
        self._started = False

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket from now on."""
        self._server.start(listener)
        self._started = True

    async def close(self) -> None:
        """End, once what runs has ended."""
        if self._started:
            await self._server.end()
