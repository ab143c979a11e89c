import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.helpers.otlp import Taken, export
from tests.helpers.ports import free_port
from vllmd.traces.forward.answer import ExportOutcome
from vllmd.traces.forward.queue import Batch
from vllmd.traces.forward.senders import (
    GZIP_FROM_BYTES,
    ExportTarget,
    GrpcSender,
    HttpSender,
    http_url,
)
from vllmd.traces.grpc import GrpcReceiver, GrpcServer
from vllmd.traces.unpack import MAX_BODY_BYTES


def sender(handler: Any) -> HttpSender:
    target = ExportTarget("http://tempo:4318", {"x-key": "s3cret"}, instance="me")
    return HttpSender(target, httpx.MockTransport(handler))


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://a:4318", "http://a:4318/v1/traces"),
        ("http://a:4318/", "http://a:4318/v1/traces"),
        ("https://a/otlp/v1/traces", "https://a/otlp/v1/traces"),
    ],
)
def test_http_url(endpoint: str, url: str) -> None:
    assert http_url(endpoint) == url


async def test_http_posts_protobuf_with_its_headers() -> None:
    got: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(200)

    made = sender(answer)
    assert (await made.send(Batch(b"small", 1))).verdict is ExportOutcome.SENT
    assert (await made.send(Batch(bytes(GZIP_FROM_BYTES), 1))).verdict is ExportOutcome.SENT
    await made.close()
    small, large = got
    assert str(small.url) == "http://tempo:4318/v1/traces"
    assert small.headers["content-type"] == "application/x-protobuf"
    assert small.headers["x-key"] == "s3cret"
    assert small.headers["x-vllmd-trail"] == "me"
    assert small.content == b"small"
    assert large.headers["content-encoding"] == "gzip"
    assert gzip.decompress(large.content) == bytes(GZIP_FROM_BYTES)


async def test_http_reads_what_was_rejected() -> None:
    body = ExportTraceServiceResponse()
    body.partial_success.rejected_spans = 3
    made = sender(lambda _: httpx.Response(200, content=body.SerializeToString()))
    answer = await made.send(Batch(b"x", 1))
    assert (answer.verdict, answer.rejected) == (ExportOutcome.SENT, 3)
    odd = sender(lambda _: httpx.Response(200, text="<html>fine</html>"))
    assert (await odd.send(Batch(b"x", 1))).verdict is ExportOutcome.SENT


async def test_http_failures_are_told() -> None:
    busy = sender(lambda _: httpx.Response(503, headers={"retry-after": "4"}))
    answer = await busy.send(Batch(b"x", 1))
    assert (answer.verdict, answer.wait_s, answer.problem) == (ExportOutcome.RETRY, 4.0, "HTTP 503")

    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    answer = await sender(unreachable).send(Batch(b"x", 1))
    assert (answer.verdict, answer.problem) == (ExportOutcome.RETRY, "ConnectError")


@asynccontextmanager
async def grpc_backend() -> AsyncIterator[tuple[Taken, GrpcSender]]:
    taken = Taken()
    listener = socket.create_server(("127.0.0.1", 0))
    server = GrpcServer(GrpcReceiver(taken.intake))
    await server.start(listener)
    made = GrpcSender(
        ExportTarget(f"http://127.0.0.1:{listener.getsockname()[1]}", {"X-Key": "a"}, instance="me")
    )
    yield taken, made
    await made.close()
    await server.close()


async def test_grpc_sends_raw_bytes() -> None:
    async with grpc_backend() as (taken, made):
        body = export(2).SerializeToString() + export(1).SerializeToString()
        assert (await made.send(Batch(body, 1))).verdict is ExportOutcome.SENT
        assert taken.spans == 3


async def test_grpc_failures_are_told() -> None:
    async with grpc_backend() as (taken, made):
        answer = await made.send(Batch(b"\xff\xff", 1))
        assert (answer.verdict, answer.problem) == (ExportOutcome.REFUSED, "gRPC INVALID_ARGUMENT")
        taken.intake.room.take(4 * MAX_BODY_BYTES)
        answer = await made.send(Batch(export().SerializeToString(), 1))
        assert (answer.verdict, answer.wait_s) == (ExportOutcome.RETRY, 1.0)


async def test_grpc_with_a_header_that_it_does_not_allow_is_refused() -> None:
    made = GrpcSender(ExportTarget("http://127.0.0.1:9", {"grpc-timeout": "1"}, instance="me"))
    answer = await made.send(Batch(b"x", 1))
    assert answer.verdict in (ExportOutcome.REFUSED, ExportOutcome.RETRY)
    await made.close()


async def test_grpc_to_nobody_is_tried_again() -> None:
    made = GrpcSender(ExportTarget(f"http://127.0.0.1:{free_port()}"))
    answer = await made.send(Batch(b"x", 1))
    assert answer.verdict is ExportOutcome.RETRY
    await made.close()
