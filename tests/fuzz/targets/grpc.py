"""Frames of HTTP/2 on the gRPC port."""

import socket
from typing import Any

from hyperframe.frame import (
    ContinuationFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    WindowUpdateFrame,
)

from tests.fuzz.target import Target
from tests.fuzz.targets.talking import Talk
from tests.helpers.http2 import HEADERS, data, head, message, plain_headers, settings, written
from tests.helpers.otlp import Taken, export
from vllmd.traces.frames import PREFACE
from vllmd.traces.grpc import GrpcReceiver, GrpcServer

CALL = head(1, plain_headers()) + data(1, message(export(1).SerializeToString()), "END_STREAM")
EXTRA = (
    settings({}),
    settings({1: 0, 3: 0, 4: 2**31 - 1, 5: 16384, 6: 1, 99: 1}),
    bytes(PingFrame(0, opaque_data=b"12345678").serialize()),
    bytes(RstStreamFrame(1, error_code=8).serialize()),
    bytes(WindowUpdateFrame(0, window_increment=1).serialize()),
    bytes(WindowUpdateFrame(1, window_increment=2**31 - 1).serialize()),
    bytes(GoAwayFrame(0, last_stream_id=0).serialize()),
    bytes(PriorityFrame(3, depends_on=1, stream_weight=5).serialize()),
    written(HeadersFrame(3, data=plain_headers()[:10])),
    written(ContinuationFrame(3, data=plain_headers()[10:]), "END_HEADERS"),
    head(5, plain_headers([*HEADERS, ("grpc-encoding", "gzip"), ("grpc-timeout", "1m")])),
    data(5, b"\x01\x00\x00\x00\x05hello", "END_STREAM"),
    data(1, b""),
)


async def _serve(listening: socket.socket) -> Any:
    server = GrpcServer(GrpcReceiver(Taken("tiny").intake), bound=16)
    await server.start(listening)
    return server


def _corpus() -> list[bytes]:
    begin = PREFACE + settings({})
    return [begin + CALL, begin + b"".join(EXTRA) + CALL, *(begin + CALL + e for e in EXTRA)]


TARGET = Target("grpc", Talk(_serve), _corpus, scraps=(*EXTRA, CALL, PREFACE))
