"""One attempt to pass a batch on, over HTTP or over gRPC."""

import asyncio
import gzip
import ssl
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import attrs
import httpx
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from grpclib.encoding.proto import ProtoStatusDetailsCodec
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from vllmd.config.traces import GRPC_PORT, PATH
from vllmd.traces.forward.answer import ExportOutcome, ExportResponse, of_code, of_status
from vllmd.traces.forward.queue import Batch
from vllmd.util.units import KIB

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TRAIL_HEADER = "x-vllmd-trail"
"""Which vllmds passed a request on: one that comes back is refused, or it would go round."""
GZIP_FROM_BYTES = 8 * KIB


@attrs.frozen
class ExportTarget:
    """Where to send to, and as whom."""

    endpoint: str
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    timeout_s: float = 10.0
    tls: ssl.SSLContext | None = None
    instance: str = ""
    """Which vllmd sends."""


class SpanSender(Protocol):
    """Sends one batch, once."""

    async def send(self, batch: Batch) -> ExportResponse:
        """Send it; never raises."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class HttpSender:
    """OTLP over HTTP, in protobuf."""

    def __init__(
        self, target: ExportTarget, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = http_url(target.endpoint)
        self._instance = target.instance
        self._headers = {**target.headers, "content-type": "application/x-protobuf"}
        self._client = httpx.AsyncClient(
            timeout=target.timeout_s, verify=target.tls or False, transport=transport
        )

    async def send(self, batch: Batch) -> ExportResponse:
        """Post it."""
        body, headers = batch.body, {**self._headers, **trail(batch, self._instance)}
        if len(body) >= GZIP_FROM_BYTES:
            body = await asyncio.to_thread(gzip.compress, body, 1)
            headers["content-encoding"] = "gzip"
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return ExportResponse(ExportOutcome.RETRY, type(error).__name__)
        if response.is_success:
            return _accepted(response.content)
        retry_after = response.headers.get("retry-after", "")
        return of_status(response.status_code, retry_after, f"HTTP {response.status_code}")

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()


class _RawCodec(CodecBase):
    """Passes requests on as they are: they are protobuf already."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:
        return message_type.FromString(data)


class GrpcSender:
    """OTLP over gRPC."""

    def __init__(self, target: ExportTarget) -> None:
        parts = urlsplit(target.endpoint)
        self._channel = Channel(
            parts.hostname,
            parts.port or GRPC_PORT,
            codec=_RawCodec(),
            status_details_codec=ProtoStatusDetailsCodec(),
            ssl=target.tls,
        )
        self._headers = {name.lower(): value for name, value in target.headers.items()}
        self._instance = target.instance
        self._timeout_s = target.timeout_s
        self._export: UnaryUnaryMethod[bytes, ExportTraceServiceResponse] = UnaryUnaryMethod(
            self._channel, EXPORT, bytes, ExportTraceServiceResponse
        )

    async def send(self, batch: Batch) -> ExportResponse:
        """Call Export."""
        headers = {**self._headers, **trail(batch, self._instance)}
        try:
            answer = await self._export(batch.body, timeout=self._timeout_s, metadata=headers)
        except GRPCError as error:
            return of_code(error.status.name, _wait_s(error), f"gRPC {error.status.name}")
        except (OSError, TimeoutError, StreamTerminatedError, ProtocolError) as error:
            return ExportResponse(ExportOutcome.RETRY, type(error).__name__)
        except DecodeError:
            return ExportResponse(ExportOutcome.SENT)
        except ValueError as error:  # a header that gRPC does not allow
            return ExportResponse(ExportOutcome.REFUSED, str(error))
        return ExportResponse(ExportOutcome.SENT, rejected=answer.partial_success.rejected_spans)

    async def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def trail(batch: Batch, instance: str) -> dict[str, str]:
    """Return the header that says by whom a batch was passed on: names with commas, ours last."""
    return {TRAIL_HEADER: ",".join((*batch.via, instance))}


def http_url(endpoint: str) -> str:
    """Return the address to post to: one without a path gets OTLP's own, `/v1/traces`.

    Source: OpenTelemetry, "OTLP/HTTP Request".
    """
    return endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}{PATH}"


def _accepted(content: bytes) -> ExportResponse:
    try:
        answer = ExportTraceServiceResponse.FromString(content)
    except DecodeError:  # a success is a success, whatever its body
        return ExportResponse(ExportOutcome.SENT)
    return ExportResponse(ExportOutcome.SENT, rejected=answer.partial_success.rejected_spans)


def _wait_s(error: GRPCError) -> float | None:
    for detail in error.details or ():
        if isinstance(detail, RetryInfo):
            return float(detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9)
    return None
