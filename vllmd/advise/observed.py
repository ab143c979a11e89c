"""What an engine has shown in some time, with one command: sums, histograms, highest and lowest."""

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from vllmd.scrape.histogram import CumulativeHistogram


@attrs.frozen
class Observed:
    """All of it can be added up. What was never seen is absent."""

    watched_s: float = 0.0
    """For how long it served, and was looked at."""
    idle_s: float = 0.0
    """Of that: without any request."""
    queued_s: float = 0.0
    """Of that: while requests waited."""
    queued_full_s: float = 0.0
    """Of that: while they waited and the KV cache was nearly full."""
    counts: Mapping[str, float] = attrs.field(factory=dict)
    """By the names of `reading.COUNTERS`; `/` is before a label's value."""
    histograms: Mapping[str, CumulativeHistogram] = attrs.field(factory=dict)
    """By the names of `reading.HISTOGRAMS`."""
    highest: Mapping[str, float] = attrs.field(factory=dict)
    """`running`, `waiting` (requests), `kv_cache` (0 to 1), `margin` (bytes)."""
    lowest: Mapping[str, float] = attrs.field(factory=dict)
    """`free`: bytes that were free on the fullest of its GPUs."""

    def __add__(self, other: "Observed") -> "Observed":
        """Add what was seen later."""
        histograms = dict(self.histograms)
        for name, added in other.histograms.items():
            before = histograms.get(name)
            histograms[name] = before.plus(added) if before else added
        return Observed(
            watched_s=self.watched_s + other.watched_s,
            idle_s=self.idle_s + other.idle_s,
            queued_s=self.queued_s + other.queued_s,
            queued_full_s=self.queued_full_s + other.queued_full_s,
            counts=_joined(self.counts, other.counts, lambda one, two: one + two),
            histograms=histograms,
            highest=_joined(self.highest, other.highest, max),
            lowest=_joined(self.lowest, other.lowest, min),
        )

    def count(self, name: str) -> float:
        """Return how often something was counted, over all values of its label."""
        return sum(n for each, n in self.counts.items() if each.partition("/")[0] == name)

    def quantile(self, name: str, q: float) -> float | None:
        """Return a quantile of a histogram; None if nothing was seen of it."""
        found = self.histograms.get(name)
        return found.quantile(q) if found else None

    def most(self, name: str) -> float | None:
        """Return a bound that nothing in a histogram was above; None if nothing was seen."""
        found = self.histograms.get(name)
        return found.most() if found else None

    @property
    def finished(self) -> float:
        """Requests that ended, however they did."""
        return self.count("finished")

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept, and as `vllmd advise --json` shows it."""
        fields = attrs.asdict(self, recurse=False)
        fields["histograms"] = {
            name: [[_bound_text(bound), n] for bound, n in zip(h.bounds, h.counts, strict=True)]
            for name, h in self.histograms.items()
        }
        return {key: dict(v) if isinstance(v, Mapping) else v for key, v in fields.items()}


def from_json(row: Mapping[str, Any]) -> Observed:
    """Read what `to_json` made.

    Raises: KeyError, ValueError, TypeError, AttributeError: it is something else.
    """
    return Observed(
        watched_s=float(row["watched_s"]),
        idle_s=float(row["idle_s"]),
        queued_s=float(row["queued_s"]),
        queued_full_s=float(row["queued_full_s"]),
        counts=_numbers(row["counts"]),
        histograms={str(name): _histogram(pairs) for name, pairs in row["histograms"].items()},
        highest=_numbers(row["highest"]),
        lowest=_numbers(row["lowest"]),
    )


def total(observed: Iterable[Observed]) -> Observed:
    """Return their sum."""
    return sum(observed, start=Observed())


def _joined(one: Mapping[str, float], two: Mapping[str, float], join: Any) -> dict[str, float]:
    return {
        name: join(one[name], two[name])
        if name in one and name in two
        else one.get(name, two.get(name, 0.0))
        for name in one.keys() | two.keys()
    }


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in found.items()}


def _histogram(pairs: Iterable[tuple[str, float]]) -> CumulativeHistogram:
    found = [(float(bound), float(count)) for bound, count in pairs]
    return CumulativeHistogram(tuple(b for b, _ in found), array("d", (n for _, n in found)))


def _bound_text(bound: float) -> str:
    return "+Inf" if bound == float("inf") else repr(bound)
