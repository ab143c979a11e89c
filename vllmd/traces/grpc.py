"""OTLP over gRPC: unary calls over HTTP/2, read and answered here.

Source: the OTLP specification, "OTLP/gRPC"; gRPC over HTTP2, "Requests", "Responses".
"""

import asyncio
import base64
import re
import socket
import struct
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as StatusMessage
from grpclib.const import Status
from grpclib.encoding.base import GRPC_CONTENT_TYPE
from grpclib.metadata import decode_timeout, encode_grpc_message

from vllmd.http.connections import Connection
from vllmd.http.listener import Listener
from vllmd.traces.calls import CallReply
from vllmd.traces.forward.senders import EXPORT, TRAIL_HEADER
from vllmd.traces.http import only_traces
from vllmd.traces.http2 import Http2Protocol
from vllmd.traces.intake import Body, Intake
from vllmd.traces.loop_steps import Work
from vllmd.traces.refusal import UNIMPLEMENTED, MalformedError, RefusedError, TooLargeError
from vllmd.traces.unpack import MAX_BODY_BYTES, BudgetShare, MemoryBudget

_PREFIX = struct.Struct(">BI")
_OTHERS = {
    EXPORT.replace("trace", signal).replace("Trace", signal.capitalize()): signal
    for signal in ("metrics", "logs")
}
GRPC = "otlp-grpc"
"""The listener's name."""
_TIMEOUT = re.compile("[0-9]{1,8}[HMSmun]")
"""Source: gRPC over HTTP2, "Timeout"."""
MAX_TOLD = 80
"""Of what a client sent, so much is said back."""
CLOSE_S = 2.0
"""What calls under way get to end when the server does."""


class _UnsupportedError(RefusedError):
    reason = "unfit"
    code = UNIMPLEMENTED


class GrpcReceiver:
    """The three services; the two that are not of traces say so."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    @property
    def room(self) -> MemoryBudget:
        """The bytes that messages may take."""
        return self._intake.room

    def begin(self, headers: Mapping[str, str]) -> CallReply | None:
        """Look at the headers of a call; returns an answer if its message is not wanted."""
        reply = self._unsupported(headers)
        if reply is not None:
            self._count_unsupported()
        return reply

    def _unsupported(self, headers: Mapping[str, str]) -> CallReply | None:
        if headers.get(":method") != "POST":
            return CallReply([(":status", "405"), ("allow", "POST")])
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind not in (GRPC_CONTENT_TYPE, f"{GRPC_CONTENT_TYPE}+proto"):
            return _failure(Status.UNKNOWN, "the content type is not application/grpc", http=415)
        if headers.get("te") != "trailers":
            return _failure(Status.UNKNOWN, 'the header "te: trailers" is missing', http=400)
        return _unknown(headers.get(":path", ""), headers.get("grpc-timeout", "1S"))

    def look(self, data: bytearray) -> None:
        """Look at the beginning of a message. Raises: RefusedError."""
        if len(data) >= _PREFIX.size and _PREFIX.unpack_from(data)[1] > MAX_BODY_BYTES:
            raise TooLargeError

    def refuse(self, error: RefusedError) -> CallReply:
        """Return the answer to a call that is not taken."""
        self._intake.counts.refuse("grpc", error)
        after = error.retry_after_s
        details = [] if after is None else [RetryInfo(retry_delay=Duration(seconds=after))]
        return _failure(Status(error.code), str(error), details)

    async def answer(
        self, headers: Mapping[str, str], data: bytearray, share: BudgetShare
    ) -> CallReply:
        """Answer a call whose message came; never raises but when cancelled."""
        timeout_s = decode_timeout(headers["grpc-timeout"]) if "grpc-timeout" in headers else None
        try:
            async with asyncio.timeout(timeout_s):
                via = self._intake.read_trail(headers.get(TRAIL_HEADER, ""))
                answer = await self._intake.take(_unframe(headers, data), share, via)
        except TimeoutError:
            self._count_unsupported()
            return _failure(Status.DEADLINE_EXCEEDED, "the client's own deadline is over")
        except RefusedError as error:
            return self.refuse(error)
        self._intake.counts.requests["grpc", "accepted"] += 1
        body = answer.SerializeToString()
        return CallReply(
            [(":status", "200"), ("content-type", f"{GRPC_CONTENT_TYPE}+proto")],
            _PREFIX.pack(0, len(body)) + body,
            [("grpc-status", str(Status.OK.value))],
        )

    def _count_unsupported(self) -> None:
        self._intake.counts.requests["grpc", "refused"] += 1
        self._intake.counts.refused["grpc", "unfit"] += 1


def _unknown(path: str, timeout: str) -> CallReply | None:
    if signal := _OTHERS.get(path):
        return _failure(Status.UNIMPLEMENTED, only_traces(signal))
    if path != EXPORT:
        return _failure(
            Status.UNIMPLEMENTED, f"there is no {path[:MAX_TOLD]}; traces go to {EXPORT}"
        )
    if not _TIMEOUT.fullmatch(timeout):
        return _failure(Status.INTERNAL, "grpc-timeout is no time")
    return None


def _unframe(headers: Mapping[str, str], data: bytearray) -> Body:
    """Take one message out of its frame. Source: gRPC, "Length-Prefixed-Message"."""
    if len(data) < _PREFIX.size:
        raise MalformedError("there is no message")
    packed, size = _PREFIX.unpack_from(data)
    del data[: _PREFIX.size]
    if len(data) != size:
        raise MalformedError("the message is cut off, or there is more than one")
    encoding = headers.get("grpc-encoding", "identity")
    if packed and encoding != "gzip":
        raise _UnsupportedError(f"the message is compressed with {encoding[:40]}, not gzip")
    return Body(data, packed=bool(packed))


def _failure(
    status: Status, message: str, details: Sequence[Any] = (), *, http: int = 200
) -> CallReply:
    headers = [
        (":status", str(http)),
        ("content-type", f"{GRPC_CONTENT_TYPE}+proto"),
        ("grpc-status", str(status.value)),
        ("grpc-message", encode_grpc_message(message)),
    ]
    if status is Status.UNIMPLEMENTED:
        headers.append(("grpc-accept-encoding", "identity,gzip"))
    if details:
        about = StatusMessage(code=status.value, message=message)
        for detail in details:
            packed = AnyMessage()
            packed.Pack(detail)
            about.details.append(packed)
        value = base64.b64encode(about.SerializeToString()).rstrip(b"=").decode()
        headers.append(("grpc-status-details-bin", value))
    return CallReply(headers)


class GrpcServer:
    """The receiver on a socket that is already bound."""

    def __init__(self, receiver: GrpcReceiver, **options: Any) -> None:
        """Make one; the options are those of the listener."""
        self._receiver = receiver
        self._options = options
        self._protocols: weakref.WeakSet[Http2Protocol] = weakref.WeakSet()
        self._work = Work()
        self._listener: Listener | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve from now on."""
        self._listener = Listener(GRPC, listening, self._serve, **self._options)
        self._listener.start()

    def _serve(self, connection: Connection) -> Http2Protocol:
        protocol = Http2Protocol(self._receiver, self._work, connection)
        self._protocols.add(protocol)
        return protocol

    async def close(self) -> None:
        """Stop, and give what runs a moment to end."""
        if self._listener is not None:
            self._listener.pause()
            for protocol in list(self._protocols):
                protocol.shut_down()
            await self._listener.drain(CLOSE_S)
            self._listener.close()
