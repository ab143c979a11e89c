import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.helpers.otlp import done, export
from vllmd.traces import wire
from vllmd.traces.refusal import MalformedError, TooLargeError
from vllmd.traces.wire import field, outline
from vllmd.util.units import MIB

SPAN = field(0x12, field(0x0A, b"t" * 16))


def body(spans: bytes) -> bytes:
    """Return a request with one scope of such spans."""
    return field(0x0A, field(0x12, spans))


def test_outline_finds_each_level() -> None:
    request = export(3)
    data = request.SerializeToString()
    found = done(outline(data))
    assert found.spans == len(found.resources) == 3
    (first, *_) = found.resources
    ((start, end),) = first.about
    assert data[start:end] == request.resource_spans[0].resource.SerializeToString()
    (run,) = first.scopes[0].runs
    assert data[run.start : run.end] == request.resource_spans[0].scope_spans[0].SerializeToString()


def test_outline_cuts_spans_into_runs_that_are_parsed_quickly() -> None:
    data = body(SPAN * 1200 + field(0x12, bytes(wire.RUN_BYTES)) + SPAN)
    (scope,) = done(outline(data)).resources[0].scopes
    assert [run.spans for run in scope.runs] == [512, 512, 176, 1, 1]
    assert b"".join(data[run.start : run.end] for run in scope.runs) in data


@given(st.binary(max_size=200))
def test_outline_of_anything_is_an_outline_or_malformed(data: bytes) -> None:
    """What it takes, it finds as protobuf does."""
    try:
        found = done(outline(data))
    except MalformedError:
        return
    try:
        request = ExportTraceServiceRequest.FromString(data)
    except Exception:  # noqa: BLE001 - what is inside a span is not looked at here
        return
    assert len(found.resources) == len(request.resource_spans)


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05abc",
        b"\x00\x00",
        b"\x0b",
        b"\x0f",
        b"\x08" + b"\xff" * 11,
        b"\x0a" + b"\xff" * 9 + b"\x01",
        b"\x09abc",
        field(0x0A, b"\x12\xff\xff\xff\xff\x0f"),
    ],
)
def test_outline_of_something_else_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        done(outline(data))


def test_outline_passes_over_fields_of_the_future() -> None:
    future = b"\xc8\x3e\x01" + b"\xc9\x3e" + bytes(8) + b"\xcd\x3e" + bytes(4) + b"\xca\x3e\x01a"
    data = field(0x0A, future + field(0x12, future + SPAN + future)) + future
    found = done(outline(data))
    assert found.spans == 1
    assert wire.write(data, found, {}).count(future) == 4


@pytest.mark.long
@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (body(b"\x12\0" * (wire.MAX_SPANS + 1)), "more than 16384 spans"),
        (body(b"\x12\0" * 4_000_000), "more than 16384 spans"),
        (b"\x0a\0" * 4_000_000, "resources, scopes and spans"),
        (field(0x0A, b"\x12\0" * 4_000_000), "resources, scopes and spans"),
        (body(b"\x18\x01" * 4_000_000), "resources, scopes and spans"),
        (body(field(0x12, bytes(MIB + 1))), "a span has 1048577 bytes"),
        (field(0x0A, field(0x0A, bytes(3 * MIB))), "describes the resources"),
        (body(field(0x0A, bytes(3 * MIB))), "describes the resources"),
    ],
    ids=range(8),
)
def test_outline_of_too_much_ends_early_and_says_what_to_do(data: bytes, problem: str) -> None:
    """Parsed first, 8 million empty spans took 12 s and 1.8 GB."""
    began = time.process_time()
    with pytest.raises(TooLargeError, match=problem) as caught:
        done(outline(data))
    assert time.process_time() - began < 4
    assert "OTEL_" in str(caught.value)


def test_write_gives_back_what_was_there() -> None:
    data = export(2).SerializeToString() + b"\xca\x3e\x03abc"
    found = done(outline(data))
    assert wire.write(data, found, {}) == data
    (run,) = found.resources[0].scopes[0].runs
    without = ExportTraceServiceRequest.FromString(wire.write(data, found, {run.start: b""}))
    assert len(without.resource_spans[0].scope_spans[0].spans) == 0
    assert len(without.resource_spans[1].scope_spans[0].spans) == 1


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 20_000])
def test_field_writes_the_length_of_any_value(size: int) -> None:
    (resource,) = done(outline(field(0x0A, field(0x0A, bytes(size))))).resources
    ((start, end),) = resource.about
    assert end - start == size
