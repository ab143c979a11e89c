"""A listening socket and its accept loop: bounded, and alive when there are no descriptors left.

`asyncio.start_server` logs a trace for every accept that fails, without end, and has no bound.
"""

import asyncio
import contextlib
import errno
import functools
import os
import resource
import socket
import ssl
from collections.abc import Callable

import structlog

from vllmd.events.base import emit
from vllmd.events.requests import ListenerExhausted
from vllmd.http.connections import (
    ENDED,
    EXHAUSTED,
    HANDSHAKE,
    Connection,
    ConnectionCounts,
    ConnectionPhase,
    Connections,
    peer_of,
)
from vllmd.http.handshakes import Handshakes, Hello, has_left, shake_hands
from vllmd.util.units import MINUTE_S

BACKLOG = 4096
"""Linux' own limit. Whoever finds the queue full tries again after a second: a scrape lost."""
ACCEPTS_A_TURN = 16
"""So that a flood of connections leaves the event loop to others in between."""
PAUSE_S, SHORT_PAUSE_S = 0.5, 0.02
"""How long nothing is accepted once there are no descriptors left; and if one was given back."""
GIVEN_UP = 4
"""By so much fewer are held open for the next minute."""
FIRST_S = 10.0
"""How long a connection may be silent after it was opened."""
WAKE_S = 1.0
"""Limits are looked at once a second at most."""

BOUNDS = {"exporter": 256, "control": 64, "otlp-http": 128, "otlp-grpc": 128}
"""How many connections each listener holds open."""
RESERVED = 448
"""Descriptors for the rest: shims, engines' pages, files, webhooks, and what is being closed."""
MIN_BOUND = 4

_PASSING = {
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.ENETDOWN,
    errno.ENOPROTOOPT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EOPNOTSUPP,
    errno.ENETUNREACH,
    errno.EPERM,
    errno.ETIMEDOUT,
}
"""Errors of the connection that is accepted, not of the socket. Source: accept(2)."""

_log = structlog.get_logger()

Serve = Callable[[Connection], asyncio.Protocol]
Tls = Callable[[], ssl.SSLContext | None]


def bound_of(name: str, open_files: int | None = None) -> int:
    """Return how many connections a listener may hold open, by the limit of open files.

    Half of a low limit is left to the rest of the daemon.
    """
    limit = open_files or resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    room = limit - min(RESERVED, limit // 2)
    share = min(1.0, room / sum(BOUNDS.values()))
    return max(MIN_BOUND, int(BOUNDS[name] * share))


class Listener:
    """Accepts connections on a socket that is bound, and hands each to a protocol.

    `serve` makes the protocol of a connection, which tells the connection its phases. The socket
    stays open until `close`, also while nothing is accepted.
    """

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        serve: Serve,
        *,
        bound: int | None = None,
        counts: ConnectionCounts | None = None,
        tls: Tls = lambda: None,
    ) -> None:
        """Make a listener; `tls` is asked for each connection and must not raise: None is plain."""
        self.name = name
        self.socket = listening
        self._serve = serve
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._reserve_timer: asyncio.TimerHandle | None = None
        self._bound = bound
        self._connecting: set[asyncio.Task[None]] = set()
        self._handshakes = Handshakes()
        self._reserve = _open_reserve()
        self._accepting = False
        self._reported_at: float | None = None
        self._unreported = 0
        self.connections = Connections(
            bound, counts or ConnectionCounts(), self._loop.time, self._wake_at
        )

    def start(self) -> None:
        """Accept from now on."""
        self.socket.setblocking(False)
        self.socket.listen(BACKLOG)
        self._accepting = True
        self._loop.add_reader(self.socket, self._accept)

    def pause(self) -> None:
        """Accept nothing until `start`; who connects meanwhile waits in the socket's queue."""
        if self._accepting:
            self._loop.remove_reader(self.socket)
        self._accepting = False
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None

    async def drain(self, within_s: float) -> bool:
        """Wait until no request is under way. Returns: whether that was so in time."""
        if self.connections.under_way():
            rest = asyncio.Event()
            self.connections.at_rest = rest.set
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await rest.wait()
            self.connections.at_rest = None
        return not self.connections.under_way()

    def close(self) -> None:
        """Accept no more, cut what is open, and close the socket."""
        self.pause()
        for connection in self.connections.all():
            connection.close(ENDED)
        for timer in (self._timer, self._reserve_timer):
            if timer is not None:
                timer.cancel()
        self._close_reserve()
        self.socket.close()

    # --- accepting -----------------------------------------------------------------------------

    def _accept(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                accepted, address = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                self._exhausted(error)
                return
            self._take(accepted, address)

    def _take(self, accepted: socket.socket, address: object) -> None:
        context = self._tls()
        if _has_left(accepted, tls=context is not None):
            accepted.close()
            self.connections.counts.accepted += 1
            self.connections.counts.closed[HANDSHAKE if context is not None else ENDED] += 1
            return
        try:
            peer = peer_of(accepted, address)
        except (OSError, ValueError):  # gone already
            accepted.close()
            return
        protocol = _Watched()
        connection = self.connections.add(peer, protocol.cut, FIRST_S)
        protocol.watch(connection, self.connections, self._serve)
        begin = functools.partial(self._begin, accepted, protocol, connection, context)
        if context is None:
            begin()
        else:
            refuse = functools.partial(connection.close, HANDSHAKE)
            protocol.hello = Hello(accepted, connection, begin, refuse)
            protocol.hello.start()

    def _begin(
        self,
        accepted: socket.socket,
        protocol: "_Watched",
        connection: Connection,
        context: ssl.SSLContext | None,
    ) -> None:
        """Make what reads from a connection."""
        protocol.hello = None
        task = self._loop.create_task(self._connect(accepted, protocol, connection, context))
        protocol.task = task
        self._connecting.add(task)
        task.add_done_callback(functools.partial(self._connected, accepted, protocol, connection))
        if context is not None:
            self._handshakes.begin(connection)

    async def _connect(
        self,
        accepted: socket.socket,
        protocol: "_Watched",
        connection: Connection,
        context: ssl.SSLContext | None,
    ) -> None:
        try:
            if context is None:
                await self._loop.connect_accepted_socket(lambda: protocol, accepted)
            else:
                await shake_hands(accepted, protocol, context)
        except OSError as error:  # errors of TLS are of this kind, too
            # its frames hold it, and with it 300 kB of the connection until garbage is collected
            error.with_traceback(None)
            self.connections.remove(connection, HANDSHAKE)

    def _connected(
        self,
        accepted: socket.socket,
        protocol: "_Watched",
        connection: Connection,
        task: asyncio.Task[None],
    ) -> None:
        self._connecting.discard(task)
        self._handshakes.end(connection)
        protocol.task = None
        if not protocol.made:  # cut before there was a transport that closes it
            accepted.close()

    def _exhausted(self, error: OSError) -> None:
        """Give connections up, and the process a moment.

        One that is open makes room for the next, and fewer are held open for a while. If none can,
        the one that waits longest is accepted with a descriptor that is kept for that and closed,
        so that its client knows.
        """
        room = self.connections.make_room(EXHAUSTED, last=ConnectionPhase.SENDING)
        self.connections.bound = max(MIN_BOUND, len(self.connections) - GIVEN_UP)
        if self._reserve_timer is None:
            self._reserve_timer = self._loop.call_later(MINUTE_S, self._hold_all_again)
        if not room:
            self._close_reserve()
            with contextlib.suppress(OSError):
                self.socket.accept()[0].close()
                self.connections.counts.closed[EXHAUSTED] += 1
            self._reserve = _open_reserve()
        self._unreported += 1
        now = self._loop.time()
        if self._reported_at is None or now - self._reported_at >= MINUTE_S:
            emit(
                _log,
                ListenerExhausted(
                    listener=self.name,
                    problem=error.strerror or str(error),
                    open=len(self.connections),
                    times=self._unreported,
                ),
            )
            self._reported_at, self._unreported = now, 0
        self._loop.remove_reader(self.socket)
        self._resume = self._loop.call_later(SHORT_PAUSE_S if room else PAUSE_S, self._go_on)

    def _hold_all_again(self) -> None:
        self._reserve_timer = None
        self.connections.bound = self._bound

    def _go_on(self) -> None:
        self._resume = None
        if self._accepting:
            self._loop.add_reader(self.socket, self._accept)

    def _close_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    # --- limits of time ------------------------------------------------------------------------

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        soon = self._loop.time() + WAKE_S
        self._timer = self._loop.call_at(max(at, soon), self.connections.sweep)


def _has_left(accepted: socket.socket, *, tls: bool) -> bool:
    """Tell whether a client has ended already while it waited, so that nothing need begin for it.

    Thousands of those may wait before others: a transport costs 0.2 ms of CPU time, TLS 0.4 ms.
    Without TLS, one that has sent its request and then its end still waits for the answer.
    Source: tcp(7), TCP_INFO; `include/net/tcp_states.h` in Linux.
    """
    if tls and has_left(accepted):
        return True
    try:
        return not accepted.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:  # it was reset
        return True


def _open_reserve() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


class _Watched(asyncio.Protocol):
    """Stands between a transport and a protocol, and notes when bytes come and when it ends."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.hello: Hello | None = None
        self._transport: asyncio.Transport | None = None
        self._connection: Connection
        self._connections: Connections
        self._serve: Serve
        self._inner: asyncio.Protocol | None = None

    def watch(self, connection: Connection, connections: Connections, serve: Serve) -> None:
        """Stand in for a connection."""
        self._connection, self._connections, self._serve = connection, connections, serve

    @property
    def made(self) -> bool:
        """Whether there is a transport."""
        return self._transport is not None

    def cut(self) -> None:
        """End the connection at once."""
        if self.hello is not None:
            self.hello.cancel()
        elif self._transport is not None:
            self._transport.abort()
        elif self.task is not None:  # in its handshake
            self.task.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner = self._serve(self._connection)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand it on."""
        assert self._inner is not None
        self._connection.active()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand it on."""
        assert self._inner is not None
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand it on."""
        assert self._inner is not None
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        assert self._inner is not None
        self._connection.active()
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._connections.remove(self._connection, ENDED)
        if self._inner is not None:
            self._inner.connection_lost(exc)
