"""What a client and a collector do with traces."""

import gzip
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.helpers.listening import Handler, listening
from tests.helpers.otlp import USUAL


def trace_headers(adapter: str | None = None, *, sampled: bool = True) -> dict[str, str]:
    """Return the headers by which a client says which trace a request is of, and which adapter."""
    ids = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{int(sampled):02x}"
    return {"traceparent": ids, **({"tracestate": f"vllmd={adapter}"} if adapter else {})}


def spans_like_vllms(provider: Any, count: int) -> None:
    """Make spans of requests with an OpenTelemetry SDK, as vLLM does."""
    tracer = provider.get_tracer("vllm.tracing.otel")
    for number in range(count):
        span = tracer.start_span("llm_request", attributes=dict(USUAL))
        span.set_attribute("gen_ai.request.id", f"cmpl-{secrets.token_hex(8)}-{number}")
        span.end()


class Collector:
    """A receiver that keeps what it got; it can be told to fail."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []

    def spans(self) -> list[tuple[str, Any]]:
        """Return all spans, each with the name of its service."""
        return [
            (_service(group), span)
            for request in list(self.requests)
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Any]:
        """Return the spans of that name."""
        return [span for _, span in self.spans() if span.name == name]


def _service(group: Any) -> str:
    about = {a.key: a.value.string_value for a in group.resource.attributes}
    return str(about.get("service.name", ""))


@contextmanager
def collector(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """Run a collector on loopback."""

    made = Collector()

    class Receiver(Handler):
        def reply(self) -> None:
            body = self.body()
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if made.status == 200:
                made.requests.append(ExportTraceServiceRequest.FromString(body))
                made.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.answer(made.status)

    with listening(Receiver, port, tls) as made.url:
        yield made
