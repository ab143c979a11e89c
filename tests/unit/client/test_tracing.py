import re

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from vllmd.client.tracing import trace_headers


def test_a_request_of_its_own_has_ids_of_its_own() -> None:
    one, other = trace_headers("sql"), trace_headers("sql")
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", one["traceparent"])
    assert one["traceparent"] != other["traceparent"]
    assert one["tracestate"] == "vllmd=sql"


def test_a_span_under_way_is_the_parent_and_its_state_is_kept() -> None:
    state = trace.TraceState([("vllmd", "old"), ("vendor", "x")])
    parent = trace.SpanContext(1, 2, True, trace.TraceFlags(1), state)
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    tracer = TracerProvider().get_tracer("test")
    span = tracer.start_span("work", context)
    with trace.use_span(span):
        headers = trace_headers("sql")
    spans = span.get_span_context()
    assert headers["traceparent"] == f"00-{1:032x}-{spans.span_id:016x}-01"
    assert headers["tracestate"] == "vllmd=sql,vendor=x"


@pytest.mark.parametrize("name", ["a,b", "a=b", "a ", "ä", "x" * 257, ""])
def test_a_name_that_cannot_be_written_there_is_left_out(name: str) -> None:
    assert "tracestate" not in trace_headers(name)
