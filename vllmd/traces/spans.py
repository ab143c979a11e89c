"""Spans as vLLM sends them: requests, and parts of a start. Pure.

Source: `vllm/v1/engine/output_processor.py` (do_tracing) and `vllm/tracing/otel.py`, 0.20 to 0.32;
recorded bodies in tests/data/otlp.
"""

import re
from collections.abc import Iterator
from typing import Any

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from vllmd.config.traces import ENGINE_ATTRIBUTE

REQUEST = "llm_request"
LOADED = "Overall Loading"
"""The whole of a start; the API server sends it before any request's span."""

START_SPANS = frozenset(
    {
        LOADED,
        "AsyncMPClient init",
        "EngineCoreProc init",
        "Executor init",
        "Worker init",
        "Init device",
        "Load model",
        "Load weights",
        "Download weights - HF",
        "Initialize model",
        "Loading (CPU)",
        "Loading (GPU)",
        "Dynamo bytecode transform",
        "Compile graph",
        "Prepare model",
        "Allocate KV cache",
        "Warmup (GPU)",
        "Capture model",
    }
)
"""What vLLM 0.20 to 0.32 instruments of its start."""

_LATENCY = "gen_ai.latency."
_USAGE = "gen_ai.usage."
_FIELDS = {
    f"{_LATENCY}time_to_first_token": 0,
    f"{_LATENCY}time_in_queue": 1,
    f"{_LATENCY}time_in_model_prefill": 2,
    f"{_LATENCY}time_in_model_decode": 3,
    f"{_LATENCY}e2e": 4,
    f"{_USAGE}prompt_tokens": 5,
    f"{_USAGE}input_tokens": 5,
    f"{_USAGE}completion_tokens": 6,
    f"{_USAGE}output_tokens": 6,
    "gen_ai.request.n": 7,
}
"""Attributes with a number, and where it goes; the conventions renamed the tokens since."""
_REQUEST_ID = "gen_ai.request.id"
MAX_TEXT = 256
"""Of what a client may choose, so much is kept in memory and in the log."""
_TRACE_ID_BYTES, _SPAN_ID_BYTES = 16, 8
_STATE = re.compile(r"(?:^|,)[ \t]*vllmd=([^,=]*?)[ \t]*(?:,|$)")


@attrs.define(eq=False)
class RequestSpan:
    """One finished sequence. Latencies in seconds, None where the span has none."""

    trace_id: bytes
    span_id: bytes
    start_ns: int
    request_id: str
    claimed: str | None
    """The adapter that the client says it asked for, in `tracestate`."""
    time_to_first_token: float | None
    queue: float | None
    prefill: float | None
    decode: float | None
    e2e: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    n: float | None
    """None for a pooling request: vLLM gives it no number of sequences."""


@attrs.frozen
class StartSpan:
    """A part of a start that has ended. Times in seconds since the epoch."""

    name: str
    started_at: float
    ended_at: float


@attrs.frozen
class Group:
    """The spans of one resource; `engine` is None for those of somebody else."""

    engine: str | None
    requests: list[RequestSpan]
    starts: list[StartSpan]
    others: int


def read_groups(request: ExportTraceServiceRequest, engines: frozenset[str]) -> Iterator[Group]:
    """Yield what a request holds, resource by resource."""
    for resource_spans in request.resource_spans:
        engine = _engine_of(resource_spans.resource, engines)
        group = Group(engine, [], [], 0)
        others = 0
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                name = span.name
                if engine is None:
                    others += 1
                elif name == REQUEST:
                    group.requests.append(read_request(span))
                elif name in START_SPANS:
                    group.starts.append(_read_start(span))
                else:
                    others += 1
        yield attrs.evolve(group, others=others)


def read_request(span: Any) -> RequestSpan:
    """Take the numbers out of one span of a request."""
    numbers: list[float | None] = [None] * 8
    request_id = ""
    for attribute in span.attributes:
        key = attribute.key
        index = _FIELDS.get(key)
        if index is not None:
            value = attribute.value
            numbers[index] = value.double_value or value.int_value
        elif key == _REQUEST_ID:
            request_id = attribute.value.string_value[:MAX_TEXT]
    state = span.trace_state
    return RequestSpan(
        span.trace_id,
        span.span_id,
        span.start_time_unix_nano,
        request_id,
        parse_claim(state) if state else None,
        *numbers,
    )


def parse_claim(trace_state: str) -> str | None:
    """Return what `tracestate` says after ``vllmd=``. Source: W3C Trace Context."""
    match = _STATE.search(trace_state)
    return (match[1][:MAX_TEXT] or None) if match else None


def drop_invalid(request: ExportTraceServiceRequest) -> int:
    """Take spans out whose ids have a wrong length or are all zero; returns how many."""
    dropped = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            bad = [i for i, span in enumerate(spans) if not _has_ids(span)]
            dropped += len(bad)
            for index in reversed(bad):
                del spans[index]
    return dropped


def _has_ids(span: Any) -> bool:
    trace_id, span_id = span.trace_id, span.span_id
    return (
        len(trace_id) == _TRACE_ID_BYTES
        and len(span_id) == _SPAN_ID_BYTES
        and any(trace_id)
        and any(span_id)
    )


def _engine_of(resource: Any, engines: frozenset[str]) -> str | None:
    for attribute in resource.attributes:
        if attribute.key == ENGINE_ATTRIBUTE:
            name = attribute.value.string_value
            return name if name in engines else None
    return None


def _read_start(span: Any) -> StartSpan:
    return StartSpan(span.name, span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9)
