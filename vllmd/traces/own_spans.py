"""vllmd's own spans, made with OpenTelemetry's SDK and passed on with the others."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Status, StatusCode, Tracer

import vllmd
from vllmd.eventlog.bus import Event
from vllmd.traces.event_spans import EventSpan, EventSpans
from vllmd.traces.forward.queue import ForwardQueue
from vllmd.util.units import nanoseconds

SERVICE = "vllmd"


class _Collected(SpanProcessor):
    """Keeps what ended until it is taken."""

    def __init__(self) -> None:
        self._ended: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._ended.append(span)

    def take(self) -> list[ReadableSpan]:
        taken, self._ended = self._ended, []
        return taken


class OwnSpans:
    """Listens to the daemon's events, and tells each episode of an engine as a trace."""

    def __init__(self, queue: ForwardQueue) -> None:
        self._queue = queue
        self._episodes = EventSpans()
        self._collected = _Collected()
        resource = Resource.create({"service.name": SERVICE, "service.version": vllmd.__version__})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._collected)
        self._tracer: Tracer = provider.get_tracer(SERVICE, vllmd.__version__)

    def put(self, event: Event) -> None:
        """Take one event."""
        part = self._episodes.take(event)
        if part is None or not self._queue.wanted:
            return
        self._tell(part, None)
        spans = self._collected.take()
        if spans:
            self._queue.put(encode_spans(spans).SerializeToString(), len(spans))

    def _tell(self, part: EventSpan, parent: trace.Span | None) -> None:
        # without a parent of its own, none: the daemon has no span under way
        context = trace.set_span_in_context(parent or trace.INVALID_SPAN)
        span = self._tracer.start_span(
            part.name, context, start_time=nanoseconds(part.started_at), attributes=part.attributes
        )
        for each in part.parts:
            self._tell(each, span)
        if part.error is not None:
            span.set_status(Status(StatusCode.ERROR, part.error))
        span.end(end_time=nanoseconds(part.ended_at))
