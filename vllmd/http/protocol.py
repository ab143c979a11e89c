"""HTTP/1.1 on one connection: uvicorn's, with limits of time, and an answer that is sent in pieces.

uvicorn itself limits the time between two requests, and nothing else.
"""

import asyncio
import re
from typing import Any

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from vllmd.http.connections import Connection, ConnectionLimits, ConnectionPhase
from vllmd.util.units import KIB

MAX_HEAD_BYTES = 64 * KIB
MAX_HEAD_LINES = 128
"""Of one head, or of what follows a body in chunks. Twelve thousand headers of four bytes, which
have room in a head, take 0.1 s of CPU time and some megabytes of memory."""
_MANY_LINES = re.compile(rb"(?:[^\n]*+\n){%d}+" % (MAX_HEAD_LINES + 1))
_END = re.compile(rb"(?:\A|\n)\r?\n")
FREE_PIECES = 256
PIECE_BYTES = 256
"""What the pieces of a body must have on average once there are more than those: a client that
sends chunks of one byte costs a second of CPU time with each megabyte."""


class _FewLines(ReceiveBuffer):
    """h11's buffer; very many headers are refused before each is looked at."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        many = _MANY_LINES.match(self._data)
        if many is not None and not _END.search(many[0]):
            raise h11.RemoteProtocolError("too many headers", error_status_hint=431)
        return super().maybe_extract_lines()


class _InPieces(h11.Connection):
    """h11's connection; very many headers or very small pieces of a body are no HTTP to it."""

    _pieces = _bytes = 0

    def __init__(self) -> None:
        super().__init__(h11.SERVER, MAX_HEAD_BYTES)
        self._receive_buffer = _FewLines()

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > FREE_PIECES and self._bytes < PIECE_BYTES * self._pieces:
                raise h11.RemoteProtocolError("the body comes in pieces that are too small")
        elif isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        return event


class HttpProtocol(H11Protocol):
    """One connection; it tells the phases."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        connection: Connection,
        limits: ConnectionLimits,
    ) -> None:
        app_state: dict[str, Any] = {"connection": connection}
        super().__init__(config=config, server_state=state, app_state=app_state)
        self.conn = _InPieces()
        self.connection = connection
        self.limits = limits
        self._slow_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; what the kernel does not take at once counts as not taken."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        # asyncio's TLS pauses from the limit on, not above it: at 0 it would for ever
        tls = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=int(tls))

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn forgets that when there was an error

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._tell()

    def on_response_complete(self) -> None:
        """Go on to the next request."""
        self._slow_since = None
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the phase has a limit
        self._tell()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless an answer is under way; then the connection just ends."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the application's answer would be a second one
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """End once the answer under way is sent."""
        if not self.transport.is_closing():
            super().shutdown()

    def pause_writing(self) -> None:
        """Wait until the client has taken what was sent."""
        super().pause_writing()
        self._tell()

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        self._tell()

    def _tell(self) -> None:
        """Tell the phase that this is, if it is another one; a limit runs from its beginning."""
        limits, connection, cycle = self.limits, self.connection, self.cycle
        if self.transport.is_closing() or self.flow.write_paused:
            if connection.phase is not ConnectionPhase.SENDING:
                connection.enter(ConnectionPhase.SENDING, self._patience())
        elif self.conn.their_state is h11.SEND_BODY:  # also one that was answered before it came
            if connection.phase is not ConnectionPhase.BODY:
                connection.enter(ConnectionPhase.BODY, limits.body_s)
        elif cycle is None or cycle.response_complete:
            self._tell_rest()
        elif connection.phase is not ConnectionPhase.WORKING:
            connection.enter(ConnectionPhase.WORKING, None)

    def _tell_rest(self) -> None:
        """Tell that no request is under way: none has begun, or not all of its head has come."""
        connection = self.connection
        begun = bool(self.conn.trailing_data[0])
        if begun and connection.phase is not ConnectionPhase.HEAD:
            connection.enter(ConnectionPhase.HEAD, self.limits.head_s)
        elif not begun and connection.phase is not ConnectionPhase.IDLE:
            connection.enter(ConnectionPhase.IDLE, self.limits.idle_s)

    def _patience(self) -> float | None:
        if self.limits.unread_s is None:
            return None
        now = self.loop.time()
        if self._slow_since is None:
            self._slow_since = now
        left = self._slow_since + self.limits.answer_s - now
        return max(0.0, min(self.limits.unread_s, left))
