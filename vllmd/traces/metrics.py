"""Requests as their spans tell them, and how the receiving of spans goes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client.core import Exemplar
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.utils import floatToGoString

from vllmd.engine.metrics import LABEL
from vllmd.traces.aggregate import BUCKETS, Histogram, Series
from vllmd.traces.snapshot import TraceFigures

ADAPTER = "adapter"
HELP = {
    "time_to_first_token": "Time to the first token",
    "time_per_output_token": "Time per token after the first",
    "queue": "Time in the queue",
    "prefill": "Time in prefill",
    "decode": "Time in decode",
    "e2e": "Time from arrival to the last token",
}
OUTCOMES = ("sent", "dropped", "refused", "expired")


class TracesCollector:
    """All that spans tell."""

    name = "traces"

    def __init__(self, figures: Callable[[], TraceFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield requests, then what was received, then what was passed on."""
        figures = self._figures()
        listed = list(figures.state.aggregate.by_engine())
        yield from _histograms(listed)
        yield from _counts(listed)
        yield from _checks(figures)
        yield from _received(figures)
        if figures.forward_up is not None:
            yield from _forwarded(figures)


def _histograms(listed: Sequence[tuple[str, str, Series]]) -> Iterator[Metric]:
    for name in BUCKETS:
        family = HistogramMetricFamily(
            f"vllmd_span_{name}_seconds",
            f"{HELP[name]} of each finished sequence, in seconds, from its span.",
            labels=[LABEL, ADAPTER],
        )
        for engine, adapter, series in listed:
            histogram = series.histograms[name]
            family.add_metric([engine, adapter], _buckets(histogram), histogram.total)
        yield family


def _buckets(histogram: Histogram) -> list[Any]:
    buckets: list[Any] = []
    count = 0
    for index, added in enumerate(histogram.counts):
        count += added
        last = index == len(histogram.bounds)
        bound = "+Inf" if last else floatToGoString(histogram.bounds[index])  # type: ignore[no-untyped-call]
        found = histogram.exemplars[index]
        if found is None:
            buckets.append((bound, count))
        else:
            value, span = found
            ids = {"trace_id": span.trace_id.hex(), "span_id": span.span_id.hex()}
            buckets.append((bound, count, Exemplar(ids, value)))
    return buckets


def _counts(listed: Sequence[tuple[str, str, Series]]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "vllmd_span_requests_total",
        "Requests that finished; one with n sequences counts once.",
        labels=[LABEL, ADAPTER],
    )
    tokens = CounterMetricFamily(
        "vllmd_span_tokens_total",
        "Tokens of requests that finished; a prompt counts once for all its sequences.",
        labels=[LABEL, ADAPTER, "direction"],
    )
    for engine, adapter, series in listed:
        requests.add_metric([engine, adapter], series.requests)
        tokens.add_metric([engine, adapter, "prompt"], series.prompt_tokens)
        tokens.add_metric([engine, adapter, "generation"], series.completion_tokens)
    yield from (requests, tokens)


def _checks(figures: TraceFigures) -> Iterator[Metric]:
    state = figures.state
    coverage = GaugeMetricFamily(
        "vllmd_span_coverage_ratio",
        "Spans received over sequences that vLLM says finished, in the last five minutes.",
        labels=[LABEL],
    )
    for engine, ratio in figures.coverage.items():
        coverage.add_metric([engine], ratio)
    spans = _by_engine(
        "sequences", "Spans of finished sequences, each once.", state.aggregate.spans
    )
    duplicates = _by_engine(
        "duplicates", "Spans that came again, and were not counted.", state.aggregate.duplicates
    )
    unknown = _by_engine(
        "unknown_adapter",
        "Spans whose tracestate names an adapter that the engine does not serve.",
        state.aggregate.unknown,
    )
    invalid = CounterMetricFamily(
        "vllmd_span_invalid_total",
        "Values that cannot be true and were left out, by field.",
        labels=[LABEL, "field"],
    )
    for (engine, field), count in sorted(state.aggregate.invalid.items()):
        invalid.add_metric([engine, field], count)
    parts = GaugeMetricFamily(
        "vllmd_engine_start_span_seconds",
        "How long each part of the last start took, by vLLM's own spans, in seconds.",
        labels=[LABEL, "span"],
    )
    for engine, took in sorted(state.starts.items()):
        for name, seconds in sorted(took.items()):
            parts.add_metric([engine, name], seconds)
    yield from (coverage, spans, duplicates, unknown, invalid, parts)


def _by_engine(name: str, text: str, counts: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"vllmd_span_{name}_total", text, labels=[LABEL])
    for engine, count in sorted(counts.items()):
        family.add_metric([engine], count)
    return family


def _received(figures: TraceFigures) -> Iterator[Metric]:
    counts = figures.state.counts
    up = GaugeMetricFamily(
        "vllmd_otlp_up", "Whether spans are received, by protocol.", labels=["protocol"]
    )
    for protocol, open_now in figures.ports.items():
        up.add_metric([protocol], open_now)
    requests = CounterMetricFamily(
        "vllmd_otlp_requests_total",
        "Requests to export, by protocol and by what they were answered.",
        labels=["protocol", "outcome"],
    )
    for (protocol, outcome), count in sorted(counts.requests.items()):
        requests.add_metric([protocol, outcome], count)
    refused = CounterMetricFamily(
        "vllmd_otlp_refused_total",
        "Requests to export that were not taken, by protocol and why: too_large (bytes, spans, "
        "objects), busy, slow, malformed, came_back, unfit (path, type or encoding).",
        labels=["protocol", "reason"],
    )
    for (protocol, reason), count in sorted(counts.refused.items()):
        refused.add_metric([protocol, reason], count)
    spans = CounterMetricFamily(
        "vllmd_otlp_spans_total",
        "Spans received that are of no request, by what they are.",
        labels=["kind"],
    )
    for kind, count in (
        ("start", counts.starts),
        ("other", counts.others),
        ("rejected", counts.rejected),
    ):
        spans.add_metric([kind], count)
    yield from (up, requests, refused, spans)


def _forwarded(figures: TraceFigures) -> Iterator[Metric]:
    queue = figures.state.queue
    total = CounterMetricFamily(
        "vllmd_otlp_forward_spans_total",
        "Spans to be passed on, by what became of them.",
        labels=["outcome"],
    )
    for outcome in OUTCOMES:
        total.add_metric([outcome], queue.outcomes.get(outcome, 0))
    yield total
    for name, text, value in (
        ("up", "Whether the last attempt to pass spans on worked.", bool(figures.forward_up)),
        ("queue_bytes", "What waits to be passed on, in bytes.", queue.bytes),
        ("queue_limit_bytes", "What may wait at most, in bytes.", queue.max_bytes),
    ):
        yield GaugeMetricFamily(f"vllmd_otlp_forward_{name}", text, float(value))
