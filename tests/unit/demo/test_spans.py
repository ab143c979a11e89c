import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.helpers.otlp import recorded
from tests.helpers.tracing import Collector, collector
from vllmd.demo.spans import Spans
from vllmd.traces.spans import parse_claim, read_request


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as made:
        yield made


def request() -> SimpleNamespace:
    now = time.monotonic()
    return SimpleNamespace(
        started=now - 1, first_token_at=now - 0.8, prompt_tokens=3, tokens=5, max_tokens=5
    )


def test_a_request_has_the_attributes_of_a_real_one(receiver: Collector) -> None:
    spans = Spans(f"{receiver.url}/v1/traces")
    headers = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vllmd=sql",
    }
    spans.finished(request(), "cmpl-7", headers)
    spans.close()
    ((_, span),) = receiver.spans()
    real = recorded("requests-n3").resource_spans[0].scope_spans[0].spans[0]
    assert {a.key for a in span.attributes} == {a.key for a in real.attributes}
    assert (span.name, span.kind) == (real.name, real.kind)
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert parse_claim(span.trace_state) == "sql"
    found = read_request(span)
    assert found.e2e == pytest.approx(1, abs=0.2)
    assert found.time_to_first_token == pytest.approx(0.2, abs=0.05)


def test_a_load_is_told(receiver: Collector) -> None:
    spans = Spans(f"{receiver.url}/v1/traces")
    spans.loaded(time.time() - 3)
    spans.close()
    ((_, span),) = receiver.spans()
    assert span.name == "Overall Loading"
    took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert took == pytest.approx(3, abs=0.5)


def test_without_an_endpoint_or_a_receiver_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vllmd.demo.spans.TIMEOUT_S", 0.5)
    for endpoint in (None, "http://127.0.0.1:9/v1/traces"):
        spans = Spans(endpoint)
        spans.loaded(time.time())
        spans.finished(request(), "cmpl-1", {})
        spans.close()
