"""Requests to numbers: histograms and counts for each engine and adapter. Pure."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs

from vllmd.traces.duplicates import SeenKeys
from vllmd.traces.spans import RequestSpan
from vllmd.util.units import DAY_S

UNKNOWN = "unknown"
"""The adapter of a request that names none, or none that the engine serves."""
OTHER = "other"
"""The adapters beyond `MAX_ADAPTERS`."""
MAX_ADAPTERS = 256

SLACK_S = 1.0
"""A phase may be so much longer than the whole: vLLM takes them from two clocks."""
MAX_E2E_S = DAY_S
MAX_TOKENS = 1e9

_Bounds = tuple[float, ...]
# fmt: off
_FIRST: _Bounds = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80,
)
_TOKEN: _Bounds = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2,
    0.3, 0.5, 1,
)
_QUEUE: _Bounds = (
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160,
)
_WHOLE: _Bounds = (
    0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 240, 480, 960,
)
# fmt: on

BUCKETS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "time_to_first_token": _FIRST,
        "time_per_output_token": _TOKEN,
        "queue": _QUEUE,
        "prefill": _FIRST,
        "decode": _WHOLE,
        "e2e": _WHOLE,
    }
)
"""Upper bounds in seconds. Dense where people feel a difference: a first token between 0.1 and 2 s,
a token between 10 and 50 ms; up to the longest answers of a reasoning model."""

Exemplar = tuple[float, RequestSpan]
"""A value, and the request that it is of."""


class Histogram:
    """Counts of values up to each bound, in seconds; the last request of a bucket is its exemplar.

    `counts` has one for each bucket, not added up, and at last one for what is above all bounds.
    """

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.exemplars: list[Exemplar | None] = [None] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, span: RequestSpan) -> None:
        """Count one value, in seconds."""
        index = bisect_left(self.bounds, value)
        self.counts[index] += 1
        self.exemplars[index] = (value, span)
        self.total += value


class Series:
    """All that is known of one adapter of one engine."""

    __slots__ = ("completion_tokens", "histograms", "prompt_tokens", "requests")

    def __init__(self) -> None:
        self.histograms = {name: Histogram(bounds) for name, bounds in BUCKETS.items()}
        self.requests = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0


@attrs.frozen
class CountedRequest:
    """A request that was counted, for those who rank; latencies in seconds, None if not valid."""

    engine: str
    adapter: str
    span: RequestSpan
    time_to_first_token: float | None
    time_per_output_token: float | None
    queue: float | None
    e2e: float | None


class Aggregate:
    """The numbers of all engines; what a client sends changes how many there are by nothing."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str], Series] = {}
        self.invalid: Counter[tuple[str, str]] = Counter()
        """Values left out, by engine and field."""
        self.unknown: Counter[str] = Counter()
        """Requests that named an adapter that their engine does not serve, by engine."""
        self.duplicates: Counter[str] = Counter()
        self.spans: Counter[str] = Counter()
        """Spans of finished sequences, each once, by engine."""
        self._adapters: Counter[str] = Counter()
        self._seen = SeenKeys()
        self._requests = SeenKeys()

    def add(self, engine: str, span: RequestSpan, known: frozenset[str]) -> CountedRequest | None:
        """Count one span of an engine that serves the `known` models.

        Returns: what was counted; None if it had come before.
        """
        if not self._seen.add(span.trace_id + span.span_id):
            self.duplicates[engine] += 1
            return None
        self.spans[engine] += 1
        adapter = self._adapter(engine, span, known)
        series = self._series(engine, adapter)
        # n sequences of one request have its id and its arrival, and each repeats its prompt
        first = self._requests.add((engine, span.request_id, span.start_ns))
        series.requests += first
        tokens = self._tokens(engine, "completion_tokens", span.completion_tokens)
        prompt = self._tokens(engine, "prompt_tokens", span.prompt_tokens)
        series.completion_tokens += tokens
        series.prompt_tokens += prompt if first else 0
        return self._measure(engine, adapter, series, span, tokens)

    def retain(self, engines: frozenset[str]) -> None:
        """Forget the engines that are configured no more."""
        self.series = {key: each for key, each in self.series.items() if key[0] in engines}
        for counts in (self.unknown, self.duplicates, self.spans, self._adapters):
            for name in counts.keys() - engines:
                del counts[name]
        for name, field in [key for key in self.invalid if key[0] not in engines]:
            del self.invalid[name, field]

    def by_engine(self) -> Iterator[tuple[str, str, Series]]:
        """Yield engine, adapter and series, in order."""
        for engine, adapter in sorted(self.series):
            yield engine, adapter, self.series[engine, adapter]

    def _measure(
        self, engine: str, adapter: str, series: Series, span: RequestSpan, tokens: int
    ) -> CountedRequest:
        e2e = self._valid(engine, "e2e", span.e2e, MAX_E2E_S)
        limit = (MAX_E2E_S if e2e is None else e2e) + SLACK_S
        queue = self._valid(engine, "queue", span.queue, limit)
        prefill = self._valid(engine, "prefill", span.prefill, limit)
        first = per_token = decode = None
        if tokens:
            first = self._valid(engine, "time_to_first_token", span.time_to_first_token, limit)
            decode = self._valid(engine, "decode", span.decode, limit)
        elif span.n is not None:  # it was to generate, and ended before: only its wait is real
            prefill = None
        if tokens > 1 and decode is not None:
            per_token = decode / (tokens - 1)
        histograms = series.histograms
        for name, value in (
            ("time_to_first_token", first),
            ("time_per_output_token", per_token),
            ("queue", queue),
            ("prefill", prefill),
            ("decode", decode),
            ("e2e", e2e),
        ):
            if value is not None:
                histograms[name].observe(value, span)
        return CountedRequest(engine, adapter, span, first, per_token, queue, e2e)

    def _valid(self, engine: str, field: str, value: float | None, limit: float) -> float | None:
        """Return a value that can be true; a request that vLLM aborted has host uptimes in it."""
        if value is None:
            return None
        if 0 <= value <= limit:  # false for NaN too
            return value
        self.invalid[engine, field] += 1
        return None

    def _tokens(self, engine: str, field: str, value: float | None) -> int:
        if value is None:
            return 0
        if not math.isfinite(value) or not 0 <= value <= MAX_TOKENS or value != int(value):
            self.invalid[engine, field] += 1
            return 0
        return int(value)

    def _adapter(self, engine: str, span: RequestSpan, known: frozenset[str]) -> str:
        if span.claimed is None:
            return UNKNOWN
        if span.claimed not in known:
            self.unknown[engine] += 1
            return UNKNOWN
        if (engine, span.claimed) not in self.series and self._adapters[engine] >= MAX_ADAPTERS:
            return OTHER
        return span.claimed

    def _series(self, engine: str, adapter: str) -> Series:
        series = self.series.get((engine, adapter))
        if series is None:
            series = self.series[engine, adapter] = Series()
            self._adapters[engine] += 1
        return series
