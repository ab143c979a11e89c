"""OTLP over gRPC, on grpclib: pure Python.

grpclib does not unpack compressed messages, and exporters send gzip: the frame is read here.
Source: the OTLP specification, "OTLP/gRPC"; gRPC over HTTP2, "Length-Prefixed-Message".
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.proto import ProtoStatusDetailsCodec
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from vllmd.traces.decode import MalformedError, parse_protobuf
from vllmd.traces.forward.senders import TRAIL_HEADER
from vllmd.traces.http import RETRY_AFTER_S, only_traces
from vllmd.traces.intake import CameBackError, Intake
from vllmd.traces.unpack import (
    MAX_BODY_BYTES,
    BusyError,
    NotGzipError,
    Share,
    TooLargeError,
    gunzip,
)
from vllmd.units import KIB

_SERVICE = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"
_PREFIX = struct.Struct(">BI")
_GZIP = b"\x1f\x8b"
CLOSE_S = 2.0
WINDOW_BYTES = 256 * KIB
"""HTTP/2's windows: what a client may send before it was read."""


class GrpcReceiver:
    """The three services; the two that are not of traces say so."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def __mapping__(self) -> Mapping[str, Handler]:
        """Return the calls that are answered, as grpclib wants them."""
        export = Handler(
            self._export,
            Cardinality.UNARY_UNARY,
            ExportTraceServiceRequest,
            ExportTraceServiceResponse,
        )
        calls = {_SERVICE.format("trace", "Trace"): export}
        for signal in ("metrics", "logs"):
            path = _SERVICE.format(signal, signal.capitalize())
            calls[path] = Handler(
                _Other(signal).refuse,
                Cardinality.UNARY_UNARY,
                ExportTraceServiceRequest,
                ExportTraceServiceResponse,
            )
        return calls

    async def _export(self, stream: Stream[Any, Any]) -> None:
        counts = self._intake.counts.requests
        try:
            given: dict[str, Any] = dict(stream.metadata or {})
            via = self._intake.read_trail(str(given.get(TRAIL_HEADER, "")))
            with Share(self._intake.room) as share:
                raw = await _read(stream, share)
                answer = await self._intake.take(parse_protobuf(raw), raw, via)
        except BusyError:
            counts["grpc", "busy"] += 1
            wait = RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S))
            message = "too many requests are under way: try again"
            raise GRPCError(Status.UNAVAILABLE, message, [wait]) from None
        except TooLargeError:
            counts["grpc", "refused"] += 1
            message = "the message is too large: send fewer spans at once"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, message) from None
        except (MalformedError, NotGzipError, CameBackError) as error:
            counts["grpc", "refused"] += 1
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from None
        except GRPCError:
            counts["grpc", "refused"] += 1
            raise
        counts["grpc", "accepted"] += 1
        await stream.send_message(answer)


class _Other:
    """A signal that is not taken."""

    def __init__(self, signal: str) -> None:
        self._signal = signal

    async def refuse(self, stream: Stream[Any, Any]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, only_traces(self._signal))


async def _read(stream: Stream[Any, Any], share: Share) -> bytes:
    """Read one length-prefixed message and unpack it; nothing is read of one that is too large."""
    frames = stream._stream
    prefix = await frames.recv_data(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise MalformedError("there is no message")
    packed, size = _PREFIX.unpack(prefix)
    if size > MAX_BODY_BYTES:
        raise TooLargeError
    share.take(size)
    body: bytes = await frames.recv_data(size)
    if len(body) != size:
        raise MalformedError("the message is cut off")
    if not packed:
        return body
    if not body.startswith(_GZIP):
        message = "the message is compressed with something that is not gzip"
        raise GRPCError(Status.UNIMPLEMENTED, message)
    return gunzip(body, share)


class GrpcServer:
    """The receiver on a socket that is already bound."""

    def __init__(self, receiver: GrpcReceiver) -> None:
        config = Configuration(
            http2_connection_window_size=4 * WINDOW_BYTES, http2_stream_window_size=WINDOW_BYTES
        )
        self._server = Server(
            [receiver], status_details_codec=ProtoStatusDetailsCodec(), config=config
        )

    async def start(self, listener: socket.socket) -> None:
        """Serve from now on."""
        await self._server.start(sock=listener)

    async def close(self) -> None:
        """Stop, and give what runs a moment to end."""
        self._server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._server.wait_closed()
