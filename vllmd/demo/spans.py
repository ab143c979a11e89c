"""The spans that vLLM sends, with the names and attributes of the real ones."""

import http.client
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vllmd.util.units import nanoseconds

TIMEOUT_S = 10.0
FIRST_PAUSE_S = 1.0
RETRIED = frozenset({None, 429, 502, 503, 504})
"""Answers after which a batch is sent again."""


class _Exporter(SpanExporter):
    """OTLP over HTTP; it tries again for ten seconds, as the real one does."""

    def __init__(self, endpoint: str) -> None:
        self._url = urlsplit(endpoint)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        body = encode_spans(spans).SerializeToString()
        deadline, pause_s = time.monotonic() + TIMEOUT_S, FIRST_PAUSE_S
        while (status := self._post(body)) in RETRIED:
            if time.monotonic() + pause_s > deadline:
                break
            time.sleep(pause_s)
            pause_s *= 2
        return SpanExportResult.SUCCESS if status == 200 else SpanExportResult.FAILURE

    def _post(self, body: bytes) -> int | None:
        """Send once; None if nobody answers."""
        connection = http.client.HTTPConnection(self._url.netloc, timeout=TIMEOUT_S)
        try:
            headers = {"content-type": "application/x-protobuf"}
            connection.request("POST", self._url.path, body, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


class Spans:
    """Makes and sends spans, if there is an endpoint to send them to."""

    def __init__(self, endpoint: str | None) -> None:
        self._tracer = None
        if endpoint is None:
            return
        about = {
            "vllm.instrumenting_module_name": "vllm.llm_engine",
            "vllm.process_id": str(os.getpid()),
        }
        self._provider = TracerProvider(resource=Resource.create(about))
        self._provider.add_span_processor(BatchSpanProcessor(_Exporter(endpoint)))
        self._tracer = self._provider.get_tracer("vllm.tracing.otel")

    def loaded(self, started_at: float) -> None:
        """Tell that the engine is loaded, whose start began at `started_at`."""
        if self._tracer is not None:
            span = self._tracer.start_span("Overall Loading", start_time=nanoseconds(started_at))
            span.end(end_time=nanoseconds(time.time()))

    def finished(self, request: Any, request_id: str, headers: Mapping[str, str]) -> None:
        """Tell of one finished sequence, as vLLM's `do_tracing` does."""
        if self._tracer is None:
            return
        now = time.monotonic()
        e2e = now - request.started
        first = request.first_token_at - request.started
        arrived_at = time.time() - e2e
        attributes: dict[str, Any] = {
            "gen_ai.latency.time_to_first_token": first,
            "gen_ai.latency.e2e": e2e,
            "gen_ai.latency.time_in_queue": 0.0,
            "gen_ai.usage.prompt_tokens": request.prompt_tokens,
            "gen_ai.usage.completion_tokens": request.tokens,
            "gen_ai.latency.time_in_model_prefill": first,
            "gen_ai.latency.time_in_model_decode": e2e - first,
            "gen_ai.latency.time_in_model_inference": e2e,
            "gen_ai.request.id": request_id,
            "gen_ai.request.top_p": 1.0,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.n": 1,
        }
        parent = TraceContextTextMapPropagator().extract(dict(headers))
        span = self._tracer.start_span(
            "llm_request",
            parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=nanoseconds(arrived_at),
        )
        span.end(end_time=nanoseconds(time.time()))

    def close(self) -> None:
        """Send what is left, as the real one does at its exit."""
        if self._tracer is not None:
            self._provider.shutdown()
