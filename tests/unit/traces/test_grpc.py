"""The same cases over gRPC, with Google's own client."""

import gzip
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.helpers.otlp import Taken, add_span, export
from vllmd.traces.forward.senders import TRAIL_HEADER
from vllmd.traces.grpc import GrpcReceiver, GrpcServer
from vllmd.traces.unpack import MAX_BODY_BYTES, BudgetShare
from vllmd.util.units import MIB

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
NO_LIMIT = [("grpc.max_send_message_length", -1)]


@pytest.fixture
def taken() -> Taken:
    return Taken("sql")


@pytest.fixture
async def channel(taken: Taken) -> AsyncIterator[grpc.aio.Channel]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = GrpcServer(GrpcReceiver(taken.intake))
    await server.start(listener)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    async with grpc.aio.insecure_channel(address, options=NO_LIMIT) as made:
        yield made
    await server.close()


async def call(channel: grpc.aio.Channel, body: bytes, path: str = EXPORT, **options: Any) -> Any:
    method = channel.unary_unary(path, lambda b: b, ExportTraceServiceResponse.FromString)
    return await method(body, timeout=20, **options)


async def failure(channel: grpc.aio.Channel, body: bytes, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, body, **options)
    return caught.value


@pytest.mark.parametrize("compression", list(grpc.Compression))
async def test_spans_are_taken(
    channel: grpc.aio.Channel, taken: Taken, compression: grpc.Compression
) -> None:
    body = export(2).SerializeToString()
    if compression is grpc.Compression.Deflate:
        error = await failure(channel, body, compression=compression)
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "not gzip" in str(error.details())
        return
    answer = await call(channel, body, compression=compression)
    assert not answer.HasField("partial_success")
    assert taken.spans == 2
    assert taken.kept.counts.requests == {("grpc", "accepted"): 1}


async def test_an_empty_request_is_fine(channel: grpc.aio.Channel) -> None:
    assert (await call(channel, b"")).ByteSize() == 0


async def test_a_message_that_is_none_is_refused(channel: grpc.aio.Channel, taken: Taken) -> None:
    error = await failure(channel, export().SerializeToString()[:-3])
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert taken.kept.counts.requests == {("grpc", "refused"): 1}


async def test_a_message_that_is_too_large_is_refused(
    channel: grpc.aio.Channel, taken: Taken
) -> None:
    error = await failure(channel, bytes(MAX_BODY_BYTES + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    taken.intake.room.take(4 * MAX_BODY_BYTES)


@pytest.mark.long
async def test_a_bomb_is_refused(channel: grpc.aio.Channel, taken: Taken) -> None:
    error = await failure(channel, bytes(50 * MIB), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    taken.intake.room.take(4 * MAX_BODY_BYTES)


async def test_too_much_at_once_is_told_to_come_again_soon(
    channel: grpc.aio.Channel, taken: Taken
) -> None:
    taken.intake.room.take(4 * MAX_BODY_BYTES)
    error = await failure(channel, export().SerializeToString())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    metadata = dict(error.trailing_metadata() or ())
    status = Status.FromString(metadata["grpc-status-details-bin"])
    wait = RetryInfo()
    assert status.details[0].Unpack(wait)
    assert 0 < wait.retry_delay.seconds <= 2


async def test_spans_without_an_identity_are_told(channel: grpc.aio.Channel) -> None:
    request = export(3)
    add_span(request, ids=(b"x", b"y"))
    answer = await call(channel, request.SerializeToString())
    assert answer.partial_success.rejected_spans == 1


@pytest.mark.parametrize("signal", ["metrics", "logs"])
async def test_other_signals_are_told_how_to_stop(channel: grpc.aio.Channel, signal: str) -> None:
    path = EXPORT.replace("trace.", f"{signal}.").replace("Trace", signal.capitalize())
    error = await failure(channel, b"", path=path)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert f"OTEL_{signal.upper()}_EXPORTER=none" in str(error.details())


async def test_what_was_passed_on_by_this_daemon_is_refused(
    channel: grpc.aio.Channel, taken: Taken
) -> None:
    metadata = ((TRAIL_HEADER, taken.kept.instance),)
    error = await failure(channel, export().SerializeToString(), metadata=metadata)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (struct.pack(">BI", 1, 15) + gzip.compress(bytes(100), mtime=0)[:15], "cut off"),
        (struct.pack(">BI", 0, 100) + b"short", "message is cut off"),
        (struct.pack(">BI", 0, 2) + b"longer", "more than one"),
        (b"", "there is no message"),
    ],
)
async def test_frames_that_no_client_sends_are_refused(
    taken: Taken, frame: bytes, problem: str
) -> None:
    receiver = GrpcReceiver(taken.intake)
    with BudgetShare(taken.intake.room) as share:
        reply = await receiver.answer({"grpc-encoding": "gzip"}, bytearray(frame), share)
    headers = dict(reply.headers)
    assert headers["grpc-status"] == str(grpc.StatusCode.INVALID_ARGUMENT.value[0])
    assert problem in headers["grpc-message"]
