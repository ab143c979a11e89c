"""Bodies and connections that mean no good to a receiver of spans."""

import contextlib
import gzip
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import attrs
from hyperframe.frame import HeadersFrame

from tests.helpers import attacks, http2
from tests.helpers.http2 import Raw, data, head, message, plain_headers
from tests.helpers.site import Site
from vllmd.traces.wire import field
from vllmd.util.units import KIB, MIB

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_ID = field(0x0A, b"t" * 16) + field(0x12, b"s" * 8)
GOOD = field(0x12, _ID)
REQUEST = field(0x12, _ID + field(0x2A, b"llm_request"))
RESOURCE = field(0x0A, field(0x0A, field(0x0A, b"vllmd.engine") + field(0x12, b"\x0a\x04chat")))


@attrs.frozen
class Target:
    """A daemon's receivers."""

    http: tuple[str, int]
    grpc: tuple[str, int]

    def post(self, body: bytes, kind: str = PROTOBUF, *, packed: bool = False) -> int:
        """Post a body; returns the status."""
        connection = http.client.HTTPConnection(*self.http, timeout=attacks.PATIENCE_S)
        headers = {"content-type": kind, **({"content-encoding": "gzip"} if packed else {})}
        try:
            connection.request("POST", "/v1/traces", body, headers)
            return connection.getresponse().status
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()

    def call(self, body: bytes, *, packed: bool = False) -> None:
        """Export over gRPC, and wait for the end of it."""
        with http2.raw(self.grpc) as connection:
            block = plain_headers([*http2.HEADERS, ("grpc-encoding", "gzip")])
            connection.send(head(1, block))
            for start in range(0, len(framed := message(body, packed=packed)), 16_384):
                connection.send(data(1, framed[start : start + 16_384]))
            connection.send(data(1, b"", "END_STREAM"))
            connection.wait_frame(HeadersFrame, attacks.PATIENCE_S)


def target_of(made: Site) -> Target:
    (line,) = [x for x in made.config.read_text().splitlines() if x.startswith("listen_grpc")]
    host, port = line.split('"')[1].split(":")
    return Target((host, int(made.otlp.rpartition(":")[2])), (host, int(port)))


def scope(spans: bytes) -> bytes:
    """Return a request of an engine's with such spans."""
    return field(0x0A, RESOURCE + field(0x12, spans))


def zipped(body: bytes) -> bytes:
    """Pack a body."""
    return gzip.compress(body, 6)


def of_json(spans: bytes) -> bytes:
    """Return JSON with such spans."""
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + spans + b"]}]}]}"


BODIES: dict[str, Callable[[], tuple[bytes, str, bool, set[int]]]] = {
    "8.3M empty spans": lambda: (zipped(scope(b"\x12\0" * 8_300_000)), PROTOBUF, True, {413}),
    "8k bad, 8k good spans": lambda: (
        zipped(scope(b"\x12\0" * 8_000 + GOOD * 8_000)),
        PROTOBUF,
        True,
        {200, 503},
    ),
    "16k spans of 64 empty attributes": lambda: (
        zipped(scope(field(0x12, REQUEST[2:] + b"\x4a\0" * 64) * 16_000)),
        PROTOBUF,
        True,
        {200, 503},
    ),
    "16 spans of 500k empty attributes": lambda: (
        zipped(scope(field(0x12, REQUEST[2:] + b"\x4a\0" * 500_000) * 16)),
        PROTOBUF,
        True,
        {200, 503},
    ),
    "tracestate of spaces": lambda: (
        zipped(scope(field(0x12, REQUEST[2:] + field(0x1A, b"vllmd=" + b" " * 900_000 + b"=")))),
        PROTOBUF,
        True,
        {200},
    ),
    "800k members": lambda: (gzip.compress(b"") * 800_000, PROTOBUF, True, {413}),
    "1 GB in 1 MB": lambda: (zipped(bytes(100 * MIB)) * 10, PROTOBUF, True, {413, 503}),
    "JSON, 1.3M objects": lambda: (of_json(b"{}," * 1_300_000 + b"{}"), JSON, False, {413}),
    "JSON, 32k objects": lambda: (of_json(b"{}," * 32_000 + b"{}"), JSON, False, {200, 503}),
    "JSON, 30k deep": lambda: (b"[" * 30_000, JSON, False, {400, 503}),
    "JSON, 250k members": lambda: (
        b'{"a":{' + b",".join(b'"%x":1' % n for n in range(250_000)) + b"}}",
        JSON,
        False,
        {200, 503},
    ),
}


FLOODS: dict[str, Callable[[Raw], int]] = {
    "rapid reset": http2.rapid_reset,
    "calls, each reset": http2.full_reset,
    "made to reset": http2.made_to_reset,
    "400k SETTINGS": lambda c: http2.repeat(c, http2.SETTINGS, 400_000),
    "300k PING": lambda c: http2.repeat(c, http2.PING, 300_000),
    "300k WINDOW_UPDATE": lambda c: http2.repeat(c, http2.WINDOW_UPDATE, 300_000),
    "300k PRIORITY": lambda c: http2.repeat(c, http2.PRIORITY, 300_000),
    "100k empty DATA": http2.empty_data,
    "CONTINUATION": http2.endless_headers,
    "HPACK bomb": http2.header_bomb,
    "window overflow": http2.window_overflow,
    "streams without end": http2.endless_streams,
    "garbage": lambda c: c.send(bytes(range(256)) * 20),
}


def flood(target: Target, act: Callable[[Raw], int]) -> int:
    """Do it on a connection of its own, until the server ends it; returns what was sent."""
    with http2.raw(target.grpc) as connection:
        sent = act(connection)
        connection.wait_closed(1.0)
        return sent


@contextmanager
def side_by_side(act: Callable[[], object], number: int) -> Iterator[None]:
    """Do something once on so many threads; waits for all of them at the end."""

    def once() -> None:
        with contextlib.suppress(OSError):
            act()

    threads = [threading.Thread(target=once) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


@contextmanager
def half_messages(target: Target, number: int, size: int) -> Iterator[None]:
    """Send so many bytes of a message of 16 MiB on each of many connections, and no more."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            connection = Raw(target.grpc)
            stack.callback(connection.close)
            with contextlib.suppress(OSError):
                http2.half_sent(connection, size)
        yield


@contextmanager
def half_posts(target: Target, number: int, size: int) -> Iterator[list[socket.socket]]:
    """The same over HTTP."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(number):
            with contextlib.suppress(OSError):
                one = stack.enter_context(attacks.connect(target.http))
                one.settimeout(5)
                one.sendall(
                    b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n"
                    b"content-type: application/x-protobuf\r\n"
                    b"content-length: %d\r\n\r\n" % (16 * MIB)
                )
                one.sendall(bytes(size))
                held.append(one)
        yield held


@contextmanager
def declared(target: Target, number: int) -> Iterator[None]:
    """Declare messages of 16 MiB on streams of many connections, and send nothing of them."""
    with contextlib.ExitStack() as stack:
        for _ in range(number):
            http2.declared_only(stack.enter_context(http2.raw(target.grpc)), 16 * MIB, 32)
        yield


def _tiny_chunks(target: Target) -> bytes:
    with attacks.connect(target.http) as one:
        one.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        one.sendall(b"1\r\nx\r\n" * 300_000 + b"0\r\n\r\n")
        return one.recv(1000)


HELD: dict[str, Callable[[Target], AbstractContextManager[object]]] = {
    "declared messages": lambda target: declared(target, 20),
    "4 half messages of 15 MiB": lambda target: half_messages(target, 4, 15 * MIB),
    "100 half messages of 600 KiB": lambda target: half_messages(target, 100, 600 * KIB),
    "4 half posts of 15 MiB": lambda target: half_posts(target, 4, 15 * MIB),
    "100 half posts of 600 KiB": lambda target: half_posts(target, 100, 600 * KIB),
    "bodies in chunks of a byte": lambda target: attacks.repeating(
        lambda: _tiny_chunks(target), threads=2
    ),
    "300 idle connections": lambda target: attacks.holding(target.grpc, 300),
    "300 idle connections over HTTP": lambda target: attacks.holding(target.http, 300),
}
