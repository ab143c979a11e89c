import contextlib
import json
import time
from typing import Any

import pytest
from google.protobuf.internal import api_implementation
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.helpers.otlp import DATA, ENGINE, done, export, json_of
from vllmd.traces.decode import (
    MAX_JSON_OBJECTS,
    Received,
    count_json,
    read_json,
    read_protobuf,
    to_json,
)
from vllmd.traces.refusal import MalformedError, TooLargeError
from vllmd.traces.wire import field, outline

ENGINES = frozenset({ENGINE})
_NAMES = """traceId spanId attributes key value intValue doubleValue bytesValue arrayValue
    values kind startTimeUnixNano status code events links resource droppedAttributesCount flags"""
NAMES = st.sampled_from(_NAMES.split())
WHOLE = export(2, state="vllmd=a").SerializeToString()
GOOD = field(0x0A, b"t" * 16) + field(0x12, b"s" * 8)

SPAN: dict[str, Any] = {
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "eee19b7ec3c1b174",
    "parentSpanId": "",
    "traceState": "vllmd=sql",
    "name": "llm_request",
    "kind": 2,
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": 1544712661000000000,
    "attributes": [
        {"key": "a", "value": {"intValue": "9007199254740993"}},
        {"key": "b", "value": {"doubleValue": 0.5}},
        {"key": "c", "value": {"kvlistValue": {"values": [{"key": "d", "value": {}}]}}},
    ],
    "notYetInvented": {"deep": [1]},
}


def body(span: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_protobuf_is_decoded_in_c() -> None:
    """The pure-Python implementation takes 25 times as long (measured)."""
    assert api_implementation.Type() == "upb"


def read(data: bytes) -> Received:
    """Read a request in all its steps."""
    return done(read_protobuf(data, done(outline(data)), ENGINES))


def message_of(data: bytes) -> ExportTraceServiceRequest:
    """Read JSON, and return it as it would be passed on."""
    request = ExportTraceServiceRequest()
    request.ParseFromString(read_json(data, ENGINES).body())
    return request


@pytest.mark.parametrize("path", sorted(DATA.glob("*.bin")), ids=lambda p: p.stem)
def test_read_protobuf_reads_what_vllm_sent(path: Any) -> None:
    data = path.read_bytes()
    whole = ExportTraceServiceRequest.FromString(data)
    spans = [span for r in whole.resource_spans for s in r.scope_spans for span in s.spans]
    received = read(data)
    assert (received.spans, received.rejected, received.body()) == (len(spans), 0, data)


def test_read_protobuf_of_several_requests_in_a_row_is_one_request() -> None:
    one, two = export(2), export(3, engine="somebody")
    received = read(one.SerializeToString() + two.SerializeToString())
    assert {group.engine: group.spans for group in received.groups} == {ENGINE: 2, None: 3}


def test_read_protobuf_takes_a_resource_that_comes_after_its_spans() -> None:
    group = export(1).resource_spans[0]
    about, scopes = group.resource.SerializeToString(), group.scope_spans[0].SerializeToString()
    body = field(0x12, scopes) + field(0x0A, about)
    (found,) = read(field(0x0A, body)).groups
    assert (found.engine, found.spans) == (ENGINE, 1)


@pytest.mark.parametrize(
    "ids", [(b"", b"12345678"), (bytes(16), b"12345678"), (b"x" * 16, bytes(8)), (b"x" * 8, b"y")]
)
def test_read_leaves_out_spans_without_an_identity(ids: tuple[bytes, bytes]) -> None:
    request = export(1)
    spans = request.resource_spans[0].scope_spans[0].spans
    for number in range(1, 9):
        spans.add().CopyFrom(spans[0])
        spans[-1].trace_id, spans[-1].span_id = ids if number % 2 else (b"t" * 16, b"s" * 8)
    good = [span for number, span in enumerate(spans) if not number % 2]
    received = read(request.SerializeToString() + b"\xca\x3e\x03abc")
    assert (received.spans, received.rejected) == (5, 4)
    passed_on = ExportTraceServiceRequest.FromString(received.body())
    assert list(passed_on.resource_spans[0].scope_spans[0].spans) == good
    assert passed_on.resource_spans[0].resource == request.resource_spans[0].resource
    assert received.body().endswith(b"\xca\x3e\x03abc"), "a field of the future"
    from_json = read_json(json_of(request), ENGINES)
    assert (from_json.spans, from_json.rejected) == (5, 4)
    passed_on = ExportTraceServiceRequest.FromString(from_json.body())
    assert list(passed_on.resource_spans[0].scope_spans[0].spans) == good


def test_read_protobuf_of_many_spans_takes_many_steps_and_no_more_than_linear_time() -> None:
    def cost(count: int) -> tuple[int, float]:
        spans = field(0x12, b"") * count + field(0x12, GOOD) * count
        data = field(0x0A, field(0x12, spans))
        found, steps, began = done(outline(data)), 0, time.process_time()
        reading = read_protobuf(data, found, ENGINES)
        steps += sum(1 for _ in reading)
        return steps, time.process_time() - began

    (few, short), (many, long) = cost(1000), cost(8000)
    assert few >= 2
    assert many >= 28
    assert long < 40 * max(short, 0.001)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff",
        b"\xff\xff\xff",
        b'{"resourceSpans":[]}',
        export().SerializeToString()[:-3],
        field(0x0A, field(0x0A, b"\xff")),
        field(0x0A, field(0x12, field(0x12, b"\xff"))),
        field(0x0A, field(0x12, field(0x0A, b"\xff"))),
    ],
)
def test_read_protobuf_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="in protobuf"):
        read(data)


def test_read_json_reads_hex_ids_integers_as_strings_and_passes_over_unknown_names() -> None:
    (span,) = message_of(body(SPAN)).resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.span_id.hex() == "eee19b7ec3c1b174"
    assert span.parent_span_id == b""
    assert (span.start_time_unix_nano, span.kind) == (1544712660000000000, 2)
    assert span.end_time_unix_nano == 1544712661000000000
    assert span.attributes[0].value.int_value == 9007199254740993
    assert span.attributes[2].value.kvlist_value.values[0].key == "d"


def test_read_json_ignores_names_in_snake_case() -> None:
    request = message_of(json.dumps({"resource_spans": [{"scope_spans": []}]}).encode())
    assert len(request.resource_spans) == 0
    (span,) = message_of(body({**SPAN, "trace_state": "x"})).resource_spans[0].scope_spans[0].spans
    assert span.trace_state == "vllmd=sql"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "JSON"),
        (b"nope", "JSON"),
        (b"[]", "no JSON object"),
        (b'{"resourceSpans": 5}', "JSON"),
        (b'{"resourceSpans": [5]}', "JSON"),
        (b"\xff\xfe", "JSON"),
        (body({**SPAN, "traceId": "xyz"}), "traceId is 'xyz', no string of hex digits"),
        (body({**SPAN, "spanId": 5}), "spanId is no string"),
        (b"[" * 100_000, "JSON"),
        (body({**SPAN, "\ud800": 5}), "half of a surrogate pair"),  # found by `make fuzz`
        (b'{"a":' * 100_000, "JSON"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_read_json_of_something_else_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedError, match=problem):
        read_json(data, ENGINES)


def test_count_json_refuses_more_than_can_be_read_in_time() -> None:
    assert count_json(b'{"a": [{}, {}]}') == 4
    assert count_json(b"{" * MAX_JSON_OBJECTS) == MAX_JSON_OBJECTS
    for body_ in (b"{}," * MAX_JSON_OBJECTS + b"{}", b"[]" * (MAX_JSON_OBJECTS + 1), b"1," * 10**6):
        with pytest.raises(TooLargeError, match="OTEL_BSP_MAX_EXPORT_BATCH_SIZE"):
            count_json(body_)


def test_to_json_leaves_out_what_is_not_set() -> None:
    answer = ExportTraceServiceResponse()
    assert json.loads(to_json(answer)) == {}
    answer.partial_success.rejected_spans = 2
    assert json.loads(to_json(answer)) == {"partialSuccess": {"rejectedSpans": "2"}}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.long
@given(st.dictionaries(NAMES, VALUES, max_size=6), VALUES)
def test_read_json_of_anything_is_spans_or_malformed(span: dict[str, Any], other: Any) -> None:
    for given_ in (
        {"resourceSpans": [{"scopeSpans": [{"spans": [{**SPAN, **span}]}]}]},
        {"resourceSpans": [{"resource": other, "scopeSpans": [{"scope": span, "spans": other}]}]},
        other,
    ):
        with contextlib.suppress(MalformedError):
            read_json(json.dumps(given_).encode(), ENGINES)


@given(st.data())
def test_read_protobuf_of_anything_is_spans_or_malformed(data: st.DataObject) -> None:
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedError):
        read(bytes(body)).body()
