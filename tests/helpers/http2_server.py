"""A receiver of spans over gRPC that listens, and calls to it."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import attrs
from hpack import Decoder
from hyperframe.frame import HeadersFrame

from tests.helpers import http2
from tests.helpers.http2 import Raw, data, head, message, plain_headers
from tests.helpers.otlp import Taken
from vllmd.http.connections import ConnectionCounts
from vllmd.traces.grpc import GrpcServer


@attrs.frozen
class Made:
    """A server, what it takes, and how to reach it."""

    taken: Taken
    counts: ConnectionCounts
    server: GrpcServer
    address: tuple[str, int]

    async def client(self, use: Callable[[Raw], Any]) -> Any:
        """Let a connection be used in a thread."""

        def run() -> Any:
            with http2.raw(self.address) as connection:
                return use(connection)

        return await asyncio.to_thread(run)


def call(connection: Raw, stream: int, body: bytes) -> None:
    framed = message(body)
    connection.send(head(stream, plain_headers()) + data(stream, framed, "END_STREAM"))


def status(connection: Raw, within_s: float = 10.0) -> str:
    """Return the status of the call, from the trailers or the headers."""
    decoder = Decoder()
    while connection.wait_frame(HeadersFrame, within_s):
        for frame in connection.frames():
            if isinstance(frame, HeadersFrame):
                got = cast("dict[str, str]", dict(decoder.decode(frame.data)))
                if "grpc-status" in got:
                    return str(got["grpc-status"])
                if got.get(":status") not in (None, "200"):
                    return f"HTTP {got[':status']}"
        decoder = Decoder()
        connection.read_now()
        if connection.closed:
            break
    return "none"
