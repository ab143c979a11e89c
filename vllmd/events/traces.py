"""The events of traces: received, ranked and passed on."""

import attrs

from vllmd.events.base import TypedEvent


@attrs.frozen(kw_only=True)
class TracesUnavailable(TypedEvent):
    """The port for spans cannot be opened."""

    name = "traces.unavailable"
    level = "warning"

    protocol: str
    problem: str
    consequence: str


@attrs.frozen(kw_only=True)
class ForwardFailed(TypedEvent):
    """Spans are not passed on."""

    name = "forward.failed"
    level = "warning"

    problem: str
    consequence: str


@attrs.frozen(kw_only=True)
class ForwardRecovered(TypedEvent):
    """Spans are passed on again."""

    name = "forward.recovered"

    problem: str


@attrs.frozen(kw_only=True)
class RequestSlow(TypedEvent):
    """A request was among the slowest of its time."""

    name = "request.slow"
    engine_at = 1

    ranks: tuple[str, ...]
    adapter: str | None
    request_id: str
    trace_id: str
    span_id: str
    arrived_at: float
    time_to_first_token: float | None
    time_per_output_token: float | None
    queue: float | None
    prefill: float | None
    decode: float | None
    e2e: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
