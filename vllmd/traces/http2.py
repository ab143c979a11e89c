"""A server of unary calls over HTTP/2, within bounds, on h2.

No task is made for a stream before all of its message came, and what one turn of the event
loop does for all connections together is bounded. What goes over a bound is told with GOAWAY, and
closed.
Source: RFC 9113; gRPC over HTTP2.
"""

import asyncio
import contextlib

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from vllmd.http.connections import ENDED, PROTOCOL, Connection, ConnectionPhase
from vllmd.traces.calls import CallReply, Calls, CallStream
from vllmd.traces.frames import FrameLimits, RefusedConnectionError
from vllmd.traces.loop_steps import Work
from vllmd.traces.refusal import BusyError, RefusedError, SlowError, TooLargeError
from vllmd.traces.unpack import BODY_START_S, MAX_BODY_BYTES, BudgetShare, allowed_s
from vllmd.util.units import KIB, MIB, MINUTE_S

MAX_STREAMS = 32
"""At once, of one connection. An exporter has one."""
MAX_HEADER_LIST_BYTES = 16 * KIB
HEADER_TABLE_BYTES = 4096
"""HTTP/2's default."""
MAX_MESSAGE_BYTES = MAX_BODY_BYTES + 5
"""With its prefix. All messages that arrive over one connection have no more together."""
WINDOW_BYTES = 256 * KIB
"""What a client may send on a stream before it was read; four times as much on all together."""
READ_AHEAD_BYTES = 128 * KIB
"""What has come and was not looked at yet; beyond it nothing is read from the connection."""
FIRST_CALL_S = 30.0
IDLE_S = 5 * MINUTE_S
"""Without a call. A channel of gRPC connects again by itself, and loses nothing by GOAWAY."""
ANSWER_S = 10.0
"""How long a client may take to read."""
LINGER_S = 0.5
"""After GOAWAY, so that a client that still sends reads it before its connection is reset."""
LINGER_BYTES = 4 * MIB
_KNOWN = frozenset(SettingCodes)


class Http2Protocol(asyncio.Protocol):
    """One connection: frames come in, calls are answered; never raises into the event loop.

    Source: RFC 9113; gRPC over HTTP2.
    """

    def __init__(self, calls: Calls, work: Work, connection: Connection) -> None:
        self._calls = calls
        self._work = work
        self._connection = connection
        connection.cut = self._cut
        self._loop = asyncio.get_running_loop()
        self._gate = FrameLimits(self._loop.time())
        self._pending = bytearray()
        self._queued = self._paused = self._blocked = False
        self._has_preface = self._called = self._leaving = self._closing = False
        self._bytes_after_close = 0
        self._streams: dict[int, CallStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._h2 = _H2()
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(3 * WINDOW_BYTES)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Keep what came until it is this connection's turn."""
        if self._closing:
            self._bytes_after_close += len(data)
            if self._bytes_after_close > LINGER_BYTES:
                self._transport.abort()
            return
        self._pending += data
        if len(self._pending) > READ_AHEAD_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._enqueue()

    def pause_writing(self) -> None:
        """Handle nothing more while the client does not read."""
        self._blocked = True
        self._tell()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked = False
        self._tell()
        self._enqueue()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._closing = True
        for stream in list(self._streams.values()):
            self._drop(stream)
        self._pending.clear()

    # --- what came ---------------------------------------------------------------------------

    def handle(self) -> bool:
        """Handle some frames; tells whether there may be more."""
        self._queued = False
        if self._closing or self._blocked:
            return False
        try:
            count = self._gate.allow(self._pending, self._loop.time())
            if not count:
                return False
            received = self._h2.receive_data(bytes(self._pending[:count]))
            del self._pending[:count]
            for event in received:
                self._take(event)
        except RefusedConnectionError as error:
            self._end(error.code, error.reason)
            return False
        except ProtocolError:
            self._end(None, PROTOCOL)
            return False
        self._flush()
        self._tell()
        if self._paused and len(self._pending) <= READ_AHEAD_BYTES // 2:
            self._paused = False
            self._transport.resume_reading()
        self._queued = bool(self._pending) and not self._closing
        return self._queued

    def _enqueue(self) -> None:
        if self._pending and not (self._queued or self._blocked or self._closing):
            self._queued = True
            self._work.add(self)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived():
                self._open(event)
            case events.DataReceived():
                self._feed(event)
            case events.StreamEnded():
                self._ended(event.stream_id)
            case events.StreamReset():
                stream = self._streams.get(event.stream_id)
                if stream is not None:
                    self._drop(stream)
            case events.WindowUpdated() | events.RemoteSettingsChanged():
                self._h2.bound_table()
                for stream in [each for each in self._streams.values() if each.reply]:
                    self._send(stream, stream.reply)
            case events.ConnectionTerminated():
                self._leaving = True
                self._leave()

    def _open(self, event: events.RequestReceived) -> None:
        assert event.stream_id is not None
        if len(self._tasks) >= MAX_STREAMS:
            self._h2.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        self._called = True
        headers = {_text(name): _text(value) for name, value in event.headers or ()}
        share = BudgetShare(self._calls.room, self._connection.peer).open()
        stream = CallStream(event.stream_id, headers, share, self._loop.time())
        self._streams[stream.id] = stream
        share.gave_way = lambda: self._refuse(stream, BusyError())
        reply = self._calls.begin(headers)
        if reply is not None:
            self._send(stream, reply)
            return
        stream.timer = self._loop.call_later(BODY_START_S, self._look_at, stream)

    def _look_at(self, stream: CallStream) -> None:
        """See whether a message comes in time."""
        due = stream.began + allowed_s(len(stream.data))
        if due > self._loop.time():
            stream.timer = self._loop.call_at(due, self._look_at, stream)
        else:
            self._refuse(stream, SlowError())

    def _feed(self, event: events.DataReceived) -> None:
        assert event.stream_id is not None
        if event.flow_controlled_length:
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.reply is not None:
            return
        data = event.data or b""
        try:
            if len(stream.data) + len(data) > MAX_MESSAGE_BYTES:
                raise TooLargeError
            arriving = sum(len(each.data) for each in self._streams.values() if not each.task)
            if arriving + len(data) > MAX_MESSAGE_BYTES:
                raise BusyError
            stream.share.take(len(data))
            stream.data += data
            self._calls.look(stream.data)
        except RefusedError as error:
            self._refuse(stream, error)

    def _ended(self, stream_id: int | None) -> None:
        stream = self._streams.get(stream_id or 0)
        if stream is None or stream.reply is not None:
            return
        stream.ended = True
        if stream.timer is not None:
            stream.timer.cancel()
        task = stream.task = self._loop.create_task(self._answer(stream))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._answered(task, stream))

    # --- what is answered --------------------------------------------------------------------

    async def _answer(self, stream: CallStream) -> None:
        reply = await self._calls.answer(stream.headers, stream.data, stream.share)
        if stream.id in self._streams:
            self._gate.call_ended()
            self._send(stream, reply)

    def _answered(self, task: "asyncio.Task[None]", stream: CallStream) -> None:
        """Clean up after a task, also after one that was cancelled before its first step."""
        self._tasks.discard(task)
        stream.release()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._reset(stream, ErrorCodes.INTERNAL_ERROR)
            about = {"message": "a call failed", "exception": error, "task": task}
            self._loop.call_exception_handler(about)
        self._tell()
        self._leave()

    def _refuse(self, stream: CallStream, error: RefusedError) -> None:
        if stream.id in self._streams and stream.task is None:
            self._send(stream, self._calls.refuse(error))

    def _send(self, stream: CallStream, reply: CallReply | None) -> None:
        """Send an answer, or as soon as the client gives a window for it."""
        if reply is None:
            return
        try:
            if reply.body is None:
                self._h2.send_headers(stream.id, reply.headers, end_stream=True)
            elif self._h2.local_flow_control_window(stream.id) < len(reply.body):
                self._wait_for_window(stream, reply)
                return
            else:
                self._h2.send_headers(stream.id, reply.headers)
                self._h2.send_data(stream.id, reply.body)
                self._h2.send_headers(stream.id, reply.trailers, end_stream=True)
            if not stream.ended:
                self._h2.reset_stream(stream.id, ErrorCodes.NO_ERROR)
        except ProtocolError:
            pass  # it was reset meanwhile
        self._drop(stream)
        self._flush()

    def _wait_for_window(self, stream: CallStream, reply: CallReply) -> None:
        if stream.reply is None:
            stream.reply = reply
            if stream.timer is not None:
                stream.timer.cancel()
            stream.timer = self._loop.call_later(
                ANSWER_S, self._reset, stream, ErrorCodes.FLOW_CONTROL_ERROR
            )

    def _reset(self, stream: CallStream, code: ErrorCodes) -> None:
        if stream.id in self._streams:
            with contextlib.suppress(ProtocolError):
                self._h2.reset_stream(stream.id, code)
            self._drop(stream)
            self._flush()

    def _drop(self, stream: CallStream) -> None:
        """Forget a stream, and give back what it held."""
        self._streams.pop(stream.id, None)
        if stream.timer is not None:
            stream.timer.cancel()
        if stream.task is None:
            stream.release()
        elif not stream.task.done() and stream.task is not asyncio.current_task():
            stream.task.cancel()
        self._tell()

    def _tell(self) -> None:
        """Tell the phase that this is, if it is another one."""
        if self._closing:
            return
        phase = ConnectionPhase.IDLE
        limit_s: float | None = IDLE_S if self._called else FIRST_CALL_S
        if self._blocked:
            phase, limit_s = ConnectionPhase.SENDING, ANSWER_S
        elif self._tasks or self._streams:  # each has limits of its own
            arriving = any(stream.task is None for stream in self._streams.values())
            phase, limit_s = ConnectionPhase.BODY if arriving else ConnectionPhase.WORKING, None
        has_preface, self._has_preface = self._has_preface, self._gate.has_preface
        if phase is not self._connection.phase or has_preface is not self._has_preface:
            self._connection.enter(phase, limit_s)

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)

    # --- its end -----------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Take no more calls; end once those under way are answered."""
        if not self._closing and not self._leaving:
            self._leaving = True
            frame = GoAwayFrame(0, last_stream_id=self._h2.highest_inbound_stream_id)
            self._transport.write(frame.serialize())
        self._leave()

    def _leave(self) -> None:
        if self._leaving and not self._streams and not self._tasks:
            self._end(ErrorCodes.NO_ERROR, ENDED)

    def _cut(self) -> None:
        """End at once; a client that is only idle is told, and loses nothing."""
        if not self._closing:
            self._release(ErrorCodes.NO_ERROR)
        self._transport.abort()

    def _end(self, code: ErrorCodes | None, reason: str) -> None:
        """Say why, wait a moment for the client to read it, and close."""
        if self._closing:
            return
        self._release(code)
        self._connection.cut = lambda: None
        self._connection.close(reason)
        if self._paused:
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client is gone
                self._transport.write_eof()
        self._loop.call_later(LINGER_S, self._transport.abort)

    def _release(self, code: ErrorCodes | None) -> None:
        """Send GOAWAY, without a code the one that h2 has made, and let go of all streams."""
        if code is not None:
            with contextlib.suppress(ProtocolError):
                self._h2.close_connection(code)
        self._flush()
        self._closing = True
        for stream in list(self._streams.values()):
            self._drop(stream)
        self._pending.clear()


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class _KnownSettings(Settings):
    """What the client set; settings that nobody knows are not kept."""

    def __setitem__(self, key: SettingCodes | int, value: int) -> None:
        if key in _KNOWN:
            super().__setitem__(key, value)


class _H2(H2Connection):
    """h2 with our limits from the first frame on."""

    MAX_CLOSED_STREAMS = 256
    DEFAULT_MAX_HEADER_LIST_SIZE = MAX_HEADER_LIST_BYTES

    def __init__(self) -> None:
        super().__init__(H2Configuration(client_side=False, header_encoding=None))
        self.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST_BYTES,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            },
        )
        self.remote_settings = _KnownSettings(client=True)

    def bound_table(self) -> None:
        """Keep no more of our headers for the client than is usual, however much it allows."""
        self.encoder.header_table_size = min(self.encoder.header_table_size, HEADER_TABLE_BYTES)
