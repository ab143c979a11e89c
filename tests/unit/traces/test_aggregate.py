import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.otlp import span
from vllmd.traces.aggregate import BUCKETS, MAX_ADAPTERS, OTHER, UNKNOWN, Aggregate

KNOWN = frozenset({"tiny", "sql"})
UPTIME_S = 1_234_567.0


def counted(aggregate: Aggregate, name: str, adapter: str = UNKNOWN) -> int:
    return sum(aggregate.series["chat", adapter].histograms[name].counts)


def test_add_counts_a_request_where_its_client_says_it_belongs() -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(claimed="sql"), KNOWN)
    series = aggregate.series["chat", "sql"]
    assert (series.requests, series.prompt_tokens, series.completion_tokens) == (1, 40, 10)
    assert {name: h.total for name, h in series.histograms.items()} == pytest.approx(
        {
            "time_to_first_token": 0.2,
            "time_per_output_token": 0.1,
            "queue": 0.05,
            "prefill": 0.15,
            "decode": 0.9,
            "e2e": 1.1,
        }
    )


def test_add_without_a_claim_or_with_one_that_is_not_served_is_unknown() -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(), KNOWN)
    aggregate.add("chat", span(claimed="nosuch"), KNOWN)
    assert aggregate.series["chat", UNKNOWN].requests == 2
    assert aggregate.unknown == {"chat": 1}


def test_add_of_the_same_span_again_counts_once() -> None:
    aggregate, one = Aggregate(), span()
    assert aggregate.add("chat", one, KNOWN)
    assert aggregate.add("chat", one, KNOWN) is None
    assert aggregate.series["chat", UNKNOWN].requests == 1
    assert aggregate.duplicates == {"chat": 1}
    assert aggregate.spans == {"chat": 1}


def test_add_of_three_sequences_of_one_request() -> None:
    aggregate = Aggregate()
    for _ in range(3):
        aggregate.add("chat", span(request_id="cmpl-7", start_ns=5), KNOWN)
    aggregate.add("chat", span(request_id="cmpl-7", start_ns=6), KNOWN)  # a client's own id, again
    series = aggregate.series["chat", UNKNOWN]
    assert (series.requests, series.prompt_tokens, series.completion_tokens) == (2, 80, 40)
    assert counted(aggregate, "e2e") == 4
    assert aggregate.spans == {"chat": 4}


def test_add_of_a_pooling_request_has_no_tokens_to_time() -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(n=None, completion_tokens=0, time_to_first_token=0.3), KNOWN)
    assert {name: counted(aggregate, name) for name in BUCKETS} == {
        "time_to_first_token": 0,
        "time_per_output_token": 0,
        "queue": 1,
        "prefill": 1,
        "decode": 0,
        "e2e": 1,
    }
    assert not aggregate.invalid


def test_add_of_a_request_that_ended_before_its_first_token_counts_its_wait_only() -> None:
    aggregate = Aggregate()
    early = span(completion_tokens=0, time_to_first_token=0.0, prefill=UPTIME_S, decode=0.0)
    aggregate.add("chat", early, KNOWN)
    assert counted(aggregate, "e2e") == counted(aggregate, "queue") == 1
    assert counted(aggregate, "prefill") == counted(aggregate, "time_to_first_token") == 0
    assert aggregate.series["chat", UNKNOWN].requests == 1


def test_add_of_one_token_has_no_time_per_token() -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(completion_tokens=1, decode=0.0), KNOWN)
    assert counted(aggregate, "time_per_output_token") == 0
    assert counted(aggregate, "time_to_first_token") == 1


@pytest.mark.parametrize("value", [-UPTIME_S, UPTIME_S, math.nan, math.inf, -math.inf, -1e-9, 2.2])
@pytest.mark.parametrize("field", ["time_to_first_token", "queue", "prefill", "decode"])
def test_add_leaves_out_what_cannot_be_true(field: str, value: float) -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(**{field: value}), KNOWN)
    assert aggregate.invalid == {("chat", field): 1}
    assert counted(aggregate, field) == 0
    assert counted(aggregate, "e2e") == 1
    assert all(
        math.isfinite(h.total) for h in aggregate.series["chat", UNKNOWN].histograms.values()
    )


@pytest.mark.parametrize("value", [-1.0, 1e9, math.nan])
def test_add_leaves_out_a_whole_that_cannot_be_true_and_keeps_the_rest(value: float) -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(e2e=value), KNOWN)
    assert aggregate.invalid == {("chat", "e2e"): 1}
    assert counted(aggregate, "queue") == 1


@pytest.mark.parametrize("value", [-1, 1.5, math.inf, 10**12])
def test_add_leaves_out_token_counts_that_are_none(value: float) -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(prompt_tokens=value), KNOWN)
    assert aggregate.invalid == {("chat", "prompt_tokens"): 1}
    assert aggregate.series["chat", UNKNOWN].prompt_tokens == 0


def test_ten_thousand_random_names_change_nothing_but_one_counter() -> None:
    aggregate = Aggregate()
    aggregate.add("chat", span(), KNOWN)
    for number in range(10_000):
        strange = span(claimed=f"adapter-{number}", request_id=f"{number}" * 20)
        aggregate.add("chat", strange, KNOWN)
    assert list(aggregate.series) == [("chat", UNKNOWN)]
    assert aggregate.unknown == {"chat": 10_000}
    assert not aggregate.invalid


def test_adapters_beyond_the_limit_share_one_series() -> None:
    aggregate = Aggregate()
    names = [f"a{number}" for number in range(MAX_ADAPTERS + 50)]
    for name in names:
        aggregate.add("chat", span(claimed=name), frozenset(names))
    assert len(aggregate.series) == MAX_ADAPTERS + 1
    assert aggregate.series["chat", OTHER].requests == 50


def test_retain_forgets_engines_that_are_gone() -> None:
    aggregate = Aggregate()
    for engine in ("chat", "code"):
        aggregate.add(engine, span(claimed="nosuch", queue=-1.0), KNOWN)
    aggregate.retain(frozenset({"code"}))
    assert [key[:2] for key in aggregate.by_engine()] == [("code", UNKNOWN)]
    assert aggregate.invalid == {("code", "queue"): 1}
    assert aggregate.unknown == aggregate.spans == {"code": 1}


def test_the_last_request_of_a_bucket_is_its_exemplar() -> None:
    aggregate = Aggregate()
    first, last = span(e2e=1.1), span(e2e=1.2)
    for each in (first, last):
        aggregate.add("chat", each, KNOWN)
    found = aggregate.series["chat", UNKNOWN].histograms["e2e"].exemplars
    assert [e for e in found if e] == [(1.2, last)]


@given(st.lists(st.floats(0, 1000), max_size=50))
def test_histogram_counts_every_value_at_its_bound(values: list[float]) -> None:
    aggregate = Aggregate()
    for value in values:
        aggregate.add("chat", span(e2e=value, n=None, completion_tokens=0), KNOWN)
    if not values:
        return
    histogram = aggregate.series["chat", UNKNOWN].histograms["e2e"]
    for index, bound in enumerate(histogram.bounds):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)
    assert sum(histogram.counts) == len(values)


@pytest.mark.parametrize("name", BUCKETS)
def test_bounds_grow(name: str) -> None:
    assert list(BUCKETS[name]) == sorted(set(BUCKETS[name]))
