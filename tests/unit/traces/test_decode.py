import json
from typing import Any

import pytest
from google.protobuf.internal import api_implementation
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.helpers.otlp import DATA, export
from vllmd.traces.decode import MalformedError, parse_json, parse_protobuf, to_json

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


@pytest.mark.parametrize("path", sorted(DATA.glob("*.bin")), ids=lambda p: p.stem)
def test_parse_protobuf_reads_what_vllm_sent(path: Any) -> None:
    data = path.read_bytes()
    assert parse_protobuf(data).SerializeToString() == data


def test_parse_protobuf_of_several_requests_in_a_row_is_one_request() -> None:
    one, two = export(2), export(3)
    joined = parse_protobuf(one.SerializeToString() + two.SerializeToString())
    assert len(joined.resource_spans) == 5


@pytest.mark.parametrize("data", [b"\x0a\xff", b"\xff\xff\xff", b'{"resourceSpans":[]}'])
def test_parse_protobuf_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="in protobuf"):
        parse_protobuf(data)


def test_parse_json_reads_hex_ids_integers_as_strings_and_passes_over_unknown_names() -> None:
    (span,) = parse_json(body(SPAN)).resource_spans[0].scope_spans[0].spans
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.span_id.hex() == "eee19b7ec3c1b174"
    assert span.parent_span_id == b""
    assert (span.start_time_unix_nano, span.kind) == (1544712660000000000, 2)
    assert span.end_time_unix_nano == 1544712661000000000
    assert span.attributes[0].value.int_value == 9007199254740993
    assert span.attributes[2].value.kvlist_value.values[0].key == "d"


def test_parse_json_ignores_names_in_snake_case() -> None:
    request = parse_json(json.dumps({"resource_spans": [{"scope_spans": []}]}).encode())
    assert len(request.resource_spans) == 0
    (span,) = parse_json(body({**SPAN, "trace_state": "x"})).resource_spans[0].scope_spans[0].spans
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
        (b'{"a":' * 100_000, "JSON"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_parse_json_of_something_else_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedError, match=problem):
        parse_json(data)


def test_to_json_leaves_out_what_is_not_set() -> None:
    answer = ExportTraceServiceResponse()
    assert json.loads(to_json(answer)) == {}
    answer.partial_success.rejected_spans = 2
    assert json.loads(to_json(answer)) == {"partialSuccess": {"rejectedSpans": "2"}}
