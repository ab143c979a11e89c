import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.helpers.otlp import ENGINE, add_span, export, recorded
from vllmd.engine.loading.phases import SPANS
from vllmd.traces.spans import (
    MAX_ATTRIBUTES,
    START_SPANS,
    ResourceSpans,
    engine_of,
    has_ids,
    parse_claim,
    read_request,
)

ENGINES = frozenset({ENGINE})


def groups(request: ExportTraceServiceRequest) -> Iterator[ResourceSpans]:
    for resource_spans in request.resource_spans:
        group = ResourceSpans(engine_of(resource_spans.resource, ENGINES))
        for scope_spans in resource_spans.scope_spans:
            assert group.add(scope_spans.spans) == 0
        yield group


def test_group_reads_requests_of_a_real_vllm() -> None:
    (group,) = groups(recorded("requests-lora-tracestate"))
    assert group.engine == ENGINE
    assert (len(group.requests), group.starts, group.others) == (3, [], 0)
    first = group.requests[0]
    assert first.claimed == "domain"
    assert first.request_id == "chatcmpl-9812295d5ab8985e"
    assert first.trace_id.hex().startswith("0af765")
    assert first.time_to_first_token == pytest.approx(0.0935, abs=1e-4)
    assert first.queue == pytest.approx(3.08e-5, abs=1e-7)
    assert first.prefill == pytest.approx(0.0841, abs=1e-4)
    assert first.decode == pytest.approx(0.1376, abs=1e-4)
    assert first.e2e == pytest.approx(0.2306, abs=1e-4)
    assert (first.prompt_tokens, first.completion_tokens, first.n) == (43, 20, 1)


def test_group_reads_the_parts_of_a_real_start() -> None:
    names = set()
    for number in range(6):
        for group in groups(recorded(f"startup-{number}")):
            assert group.requests == []
            assert group.others == 0
            names |= {start.name for start in group.starts}
            assert all(start.ended_at > start.started_at > 1.7e9 for start in group.starts)
    assert {"Overall Loading", "Load weights", "Allocate KV cache"} <= names


def test_a_part_of_a_start_that_ended_by_an_exception_says_so() -> None:
    request = export(0)
    for code in (0, 1, 2):
        add_span(request, name="Load model").status.code = code
    found = [start.failed for group in groups(request) for start in group.starts]
    assert found == [False, False, True]


def test_every_span_that_leads_to_a_phase_is_known_as_a_part_of_a_start() -> None:
    assert set(SPANS) <= START_SPANS


def test_group_counts_what_is_of_somebody_else() -> None:
    request = export(2, engine=None)
    add_span(request, engine="not-ours")
    add_span(request, name="GET /")
    assert [(g.engine, g.others, g.requests) for g in groups(request)] == [
        (None, 1, []),
        (None, 1, []),
        (None, 1, []),
        (ENGINE, 1, []),
    ]


def test_read_request_takes_the_newer_names_of_token_counts() -> None:
    names = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}
    span = add_span(export(), attributes=names)
    found = read_request(span)
    assert (found.prompt_tokens, found.completion_tokens, found.e2e) == (7, 3, None)


def test_read_request_keeps_no_more_of_a_clients_words_than_is_useful() -> None:
    request = export(request_id="x" * 10**6, state=f"vllmd={'y' * 10**6}")
    found = read_request(request.resource_spans[0].scope_spans[0].spans[0])
    assert len(found.request_id) == len(found.claimed or "") == 256


def test_read_request_believes_attributes_and_not_the_clock() -> None:
    """A span's start and end are of a wall clock, which may jump."""
    span = add_span(export())
    span.start_time_unix_nano, span.end_time_unix_nano = 2**63, 5
    assert read_request(span).e2e == 1.1


@pytest.mark.parametrize(
    ("state", "claim"),
    [
        ("vllmd=sql", "sql"),
        ("a=b, vllmd=org/sql-v2 ,c=d", "org/sql-v2"),
        ("a=b,vllmd=", None),
        ("xvllmd=sql", None),
        ("a@vllmd=sql", None),
        ("congo=t61rcWkgMzE", None),
        ("", None),
        ("vllmd=a=b", None),
    ],
)
def test_parse_claim(state: str, claim: str | None) -> None:
    assert parse_claim(state) == claim


@given(st.text())
def test_parse_claim_never_fails(state: str) -> None:
    parse_claim(state)


def test_parse_claim_of_a_hostile_state_takes_linear_time() -> None:
    """It did not: a megabyte of spaces, or of commas, took a regular expression hours."""
    began = time.process_time()
    for state in (f"vllmd={' ' * 10**6}=", ", " * 10**6 + "vllmd", "vllmd=" * 10**5, "," * 10**6):
        assert parse_claim(state) is None
    assert time.process_time() - began < 1


def test_read_request_looks_at_so_many_attributes_only() -> None:
    span = add_span(export())
    span.ClearField("attributes")
    for _ in range(MAX_ATTRIBUTES):
        span.attributes.add().key = "else"
    late = span.attributes.add()
    late.key, late.value.double_value = "gen_ai.latency.e2e", 1.0
    assert read_request(span).e2e is None


@pytest.mark.parametrize(
    "ids", [(b"", b"12345678"), (bytes(16), b"12345678"), (b"x" * 16, bytes(8)), (b"x" * 8, b"y")]
)
def test_a_span_without_an_identity_is_left_out(ids: tuple[bytes, bytes]) -> None:
    request = export(3)
    spans = [add_span(request, ids=ids), add_span(request)]
    assert [has_ids(span) for span in spans] == [False, True]
    group = ResourceSpans(ENGINE)
    assert group.add(spans) == 1
    assert group.spans == 1
