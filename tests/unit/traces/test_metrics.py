from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.helpers.metrics import values
from tests.helpers.otlp import span
from vllmd.traces.intake import IntakeState
from vllmd.traces.metrics import TracesCollector
from vllmd.traces.refusal import BusyError
from vllmd.traces.snapshot import TraceFigures

KNOWN = frozenset({"sql"})


def collector(kept: IntakeState, *, forward_up: bool | None = None) -> TracesCollector:
    return TracesCollector(lambda: TraceFigures(kept, {"http": True}, {"chat": 0.5}, forward_up))


def kept() -> IntakeState:
    made = IntakeState()
    made.aggregate.add("chat", span(claimed="sql"), KNOWN)
    made.aggregate.add("chat", span(claimed="nosuch", queue=-1.0), KNOWN)
    made.starts["chat"] = {"Load model": 1.5}
    made.counts.requests["http", "accepted"] = 2
    made.counts.refuse("grpc", BusyError())
    made.counts.starts = 1
    return made


def test_collect_shows_what_spans_told() -> None:
    found = values(collector(kept()).collect())
    assert found["vllmd_span_requests_total", "sql", "chat"] == 1
    assert found["vllmd_span_tokens_total", "sql", "prompt", "chat"] == 40
    assert found["vllmd_span_tokens_total", "unknown", "generation", "chat"] == 10
    assert found["vllmd_span_e2e_seconds_count", "sql", "chat"] == 1
    assert found["vllmd_span_e2e_seconds_sum", "sql", "chat"] == 1.1
    assert found["vllmd_span_e2e_seconds_bucket", "sql", "2.0", "chat"] == 1
    assert found["vllmd_span_e2e_seconds_bucket", "sql", "1.0", "chat"] == 0
    assert found["vllmd_span_queue_seconds_count", "unknown", "chat"] == 0
    assert found["vllmd_span_invalid_total", "queue", "chat"] == 1
    assert found["vllmd_span_unknown_adapter_total", "chat"] == 1
    assert found["vllmd_span_sequences_total", "chat"] == 2
    assert found["vllmd_span_coverage_ratio", "chat"] == 0.5
    assert found["vllmd_engine_start_span_seconds", "Load model", "chat"] == 1.5
    assert found["vllmd_otlp_up", "http"] == 1
    assert found["vllmd_otlp_requests_total", "accepted", "http"] == 2
    assert found["vllmd_otlp_requests_total", "busy", "grpc"] == 1
    assert found["vllmd_otlp_refused_total", "grpc", "busy"] == 1
    assert found["vllmd_otlp_spans_total", "start"] == 1
    assert not any("forward" in key[0] for key in found)


def test_collect_shows_forwarding_where_there_is_any() -> None:
    made = kept()
    made.queue.wanted = True
    made.queue.put(b"xyz", 1)
    found = values(collector(made, forward_up=False).collect())
    assert found["vllmd_otlp_forward_up",] == 0
    assert found["vllmd_otlp_forward_queue_bytes",] == 3
    assert found["vllmd_otlp_forward_spans_total", "dropped"] == 0


def test_exemplars_are_ids_that_an_openmetrics_parser_reads() -> None:
    one = span(claimed="sql")
    made = IntakeState()
    made.aggregate.add("chat", one, KNOWN)
    page = generate_latest(collector(made)).decode()  # type: ignore[no-untyped-call]
    exemplars = [
        sample.exemplar
        for family in text_string_to_metric_families(page)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.exemplar
    ]
    assert len(exemplars) == 6
    for exemplar in exemplars:
        ids = {"trace_id": one.trace_id.hex(), "span_id": one.span_id.hex()}
        assert exemplar.labels == ids
        assert sum(len(k) + len(v) for k, v in exemplar.labels.items()) <= 128


def test_series_do_not_grow_with_what_clients_send() -> None:
    made = kept()
    before = set(values(collector(made).collect()))
    for number in range(10_000):
        strange = span(claimed=f"a{number}", request_id="x" * 100, trace_id=number.to_bytes(16))
        made.aggregate.add("chat", strange, KNOWN)
    after = values(collector(made).collect())
    assert set(after) == before
    assert after["vllmd_span_unknown_adapter_total", "chat"] == 10_001
