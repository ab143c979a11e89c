"""Spans as vLLM sends them: requests, and parts of a start. Pure.

Source: `vllm/v1/engine/output_processor.py` (do_tracing) and `vllm/tracing/otel.py`, 0.20 to 0.32;
recorded bodies in tests/data/otlp.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from vllmd.config.traces import ENGINE_ATTRIBUTE

REQUEST = "llm_request"
STATUS_ERROR = 2
"""Source: opentelemetry/proto/trace/v1/trace.proto; set where an exception ends the span."""
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
MAX_ATTRIBUTES = 64
"""Of a span or a resource, so many are looked at: a stock vLLM sends thirteen."""
MAX_STATE = 32 * 1024
"""Of a `tracestate`, so much is looked at: 32 members of the longest key and value are 16 KiB."""
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_CLAIM = "vllmd"


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
    failed: bool = False
    """It ended by an exception."""


@attrs.define
class ResourceSpans:
    """The spans of one resource; `engine` is None for those of somebody else."""

    engine: str | None
    requests: list[RequestSpan] = attrs.field(factory=list)
    starts: list[StartSpan] = attrs.field(factory=list)
    others: int = 0

    @property
    def spans(self) -> int:
        """How many there are."""
        return len(self.requests) + len(self.starts) + self.others

    def add(self, spans: Iterable[Any]) -> int:
        """Read spans; tells how many are left out, because their ids are none."""
        rejected = 0
        for span in spans:
            if not has_ids(span):
                rejected += 1
                continue
            name = span.name
            if self.engine is None:
                self.others += 1
            elif name == REQUEST:
                self.requests.append(read_request(span))
            elif name in START_SPANS:
                self.starts.append(_read_start(span))
            else:
                self.others += 1
        return rejected


def read_request(span: Any) -> RequestSpan:
    """Take the numbers out of one span of a request, as protobuf's `Span`.

    Returns: latencies in seconds, counts of tokens; None for each that the span does not have.
    Source: vLLM, `vllm/tracing/utils.py`: `SpanAttributes` names what a span may have.
    """
    numbers: list[float | None] = [None] * 8
    request_id = ""
    attributes = span.attributes
    if len(attributes) > MAX_ATTRIBUTES:
        attributes = attributes[:MAX_ATTRIBUTES]
    for attribute in attributes:
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
    if _CLAIM not in trace_state:
        return None
    for member in trace_state[:MAX_STATE].split(","):
        key, equals, value = member.strip(" \t").partition("=")
        if key == _CLAIM and equals and "=" not in value:
            return value[:MAX_TEXT] or None
    return None


def has_ids(span: Any) -> bool:
    """Tell whether the ids of a span have the right length and are not all zero.

    Source: OTLP, `trace.proto`: 16 bytes for a trace, 8 for a span; others are no ids.
    """
    trace_id, span_id = span.trace_id, span.span_id
    return (
        len(trace_id) == len(_NO_TRACE)
        and len(span_id) == len(_NO_SPAN)
        and trace_id != _NO_TRACE
        and span_id != _NO_SPAN
    )


def engine_of(resource: Any, engines: frozenset[str]) -> str | None:
    """Return which of the `engines` a resource says that it is; None if it is somebody else."""
    for attribute in resource.attributes[:MAX_ATTRIBUTES]:
        if attribute.key == ENGINE_ATTRIBUTE:
            name = attribute.value.string_value
            return name if name in engines else None
    return None


def _read_start(span: Any) -> StartSpan:
    return StartSpan(
        span.name,
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        span.status.code == STATUS_ERROR,
    )
