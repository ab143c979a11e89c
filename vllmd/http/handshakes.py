"""The beginning of TLS, bounded: nothing is made for a client before it has said what it wants.

A connection of TLS costs 300 kB in asyncio from its first byte on. So an accepted socket is only
watched until the kernel has a whole ClientHello of it; what is none is closed. Of handshakes that
have begun there are a few at a time, and each has little time and little room.
"""

import asyncio
import contextlib
import socket
import ssl
from asyncio import sslproto
from collections import Counter
from collections.abc import Callable

from vllmd.http.connections import FULL, Connection, ConnectionPhase
from vllmd.util.units import KIB

AT_ONCE = 64
"""Most handshakes at once for a listener; the peer that has the most loses its oldest."""
HANDSHAKE_S, SHUTDOWN_S = 5, 1
"""How long TLS may take to begin, from its first byte on, and to end."""
BUFFER_BYTES = 32 * KIB
"""asyncio's own is 256 KiB, for as long as the connection lives."""
_RETRY_S = 0.1

_RECORD, _START = 5, 9
"""Bytes of a record's head, and of that with the head of the message in it."""
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_MAX_RECORD = 16 * KIB
_METHODS = (b"GET ", b"HEAD ", b"POST ")
_NO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nThis exporter speaks TLS: ask for https://\n"
_LEFT = (7, 8)
"""TCP_CLOSE, TCP_CLOSE_WAIT."""


def hello_bytes(start: bytes) -> int | None:
    """Return how long the first record is that begins so; None if it is no ClientHello's.

    Source: RFC 8446, 5.1 and 4: type, version, length of the record; type, length of the message.
    """
    record, message = int.from_bytes(start[3:5]), int.from_bytes(start[6:9])
    if start[0] != _HANDSHAKE or start[1] != 3 or start[5] != _CLIENT_HELLO:
        return None
    if not _START - _RECORD <= record <= _MAX_RECORD or message > _MAX_RECORD:
        return None
    return _RECORD + record


def has_left(accepted: socket.socket) -> bool:
    """Tell whether the client has ended the connection. Source: tcp(7), TCP_INFO."""
    try:
        return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in _LEFT
    except OSError:  # it is no TCP
        return False


class Hello:
    """An accepted socket until its ClientHello has come; the bytes stay in the kernel."""

    def __init__(
        self,
        accepted: socket.socket,
        connection: Connection,
        whole: Callable[[], None],
        refuse: Callable[[], None],
    ) -> None:
        """Make it; once it is started, `whole` or `refuse` is called, if it is not cancelled."""
        self._loop = asyncio.get_running_loop()
        self._socket = accepted
        self._connection = connection
        self._whole, self._refuse = whole, refuse
        self._needed = _START
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch it from now on."""
        self._socket.setblocking(False)
        self._look()

    def cancel(self) -> None:
        """Close it."""
        self._unwatch()
        self._socket.close()

    def _look(self) -> None:
        self._unwatch()
        try:
            come = self._socket.recv(self._needed, socket.MSG_PEEK)
        except BlockingIOError:
            self._watch()
            return
        except OSError:
            come = b""
        if not come or (len(come) < self._needed and has_left(self._socket)):
            self._refuse()
        elif len(come) < self._needed:
            # without SO_RCVLOWAT, or where the kernel is short of memory, it would be looked at
            # over and over
            self._retry = self._loop.call_later(_RETRY_S, self._watch)
        elif self._needed > _START:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._whole()
        elif (length := hello_bytes(come)) is None:
            if come.startswith(_METHODS):
                self._answer_in_plain()
            self._refuse()
        else:
            self._needed = length
            self._connection.enter(ConnectionPhase.HEAD, HANDSHAKE_S)
            self._look()

    def _answer_in_plain(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.recv(_MAX_RECORD)  # what is not read would reset the connection
            self._socket.send(_NO_TLS)

    def _watch(self) -> None:
        self._retry = None
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._needed)
        self._loop.add_reader(self._socket, self._look)

    def _unwatch(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._loop.remove_reader(self._socket)


class Handshakes:
    """Those of one listener that are under way."""

    def __init__(self) -> None:
        self._under_way: dict[Connection, None] = {}  # in the order of their beginning

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._under_way)

    def begin(self, connection: Connection) -> None:
        """Take one more; too many, and one is closed."""
        self._under_way[connection] = None
        while len(self._under_way) > AT_ONCE:
            counts = Counter(each.peer for each in self._under_way)
            most = max(counts.values())
            one = next(each for each in self._under_way if counts[each.peer] == most)
            self.end(one)
            one.close(FULL)

    def end(self, connection: Connection) -> None:
        """Forget one."""
        self._under_way.pop(connection, None)


class _Tls(sslproto.SSLProtocol):
    """asyncio's, with less room."""

    max_size = BUFFER_BYTES


async def shake_hands(
    accepted: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext
) -> None:
    """Begin TLS on a socket; the protocol is told of its connection when that has been done.

    Raises: OSError: the client wants none, or not so.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    tls = _Tls(
        loop,
        protocol,
        context,
        done,
        server_side=True,
        ssl_handshake_timeout=HANDSHAKE_S,
        ssl_shutdown_timeout=SHUTDOWN_S,
    )
    transport, _ = await loop.connect_accepted_socket(lambda: tls, accepted)
    try:
        await done
    except BaseException:
        transport.abort()
        raise
