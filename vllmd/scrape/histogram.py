"""A cumulative histogram of an engine's page: read, subtracted, asked for a quantile. Pure."""

import re
from array import array
from operator import sub

import attrs

from vllmd.scrape.families import Family, read_value

_LE = re.compile(rb'[{,]le="([^"]*)"')


@attrs.frozen
class CumulativeHistogram:
    """How many were at most each bound; the last bound is inf."""

    bounds: tuple[float, ...]
    counts: "array[float]"

    def since(self, before: "CumulativeHistogram") -> "CumulativeHistogram | None":
        """Return what was added since an earlier one; None if that was another process's."""
        if before.bounds != self.bounds:
            return None
        added = array("d", map(sub, self.counts, before.counts))
        fell = any(map((0.0).__gt__, added))
        return None if fell else CumulativeHistogram(self.bounds, added)

    def plus(self, other: "CumulativeHistogram") -> "CumulativeHistogram":
        """Return the sum; of other bounds, the newer one alone."""
        if other.bounds != self.bounds:
            return other
        pairs = zip(self.counts, other.counts, strict=True)
        return CumulativeHistogram(self.bounds, array("d", (one + two for one, two in pairs)))

    @property
    def count(self) -> float:
        """How many there were."""
        return self.counts[-1] if self.counts else 0.0

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile as Prometheus' `histogram_quantile` does; None if it is empty.

        It is linear within a bucket; above the last finite bound, that bound.
        """
        total = self.count
        if total <= 0:
            return None
        rank = q * total
        index = next(i for i, count in enumerate(self.counts) if count >= rank)
        if self.bounds[index] == float("inf"):
            return self.bounds[index - 1] if index else None
        low, below = (self.bounds[index - 1], self.counts[index - 1]) if index else (0.0, 0.0)
        inside = self.counts[index] - below
        share = (rank - below) / inside if inside > 0 else 0.0
        return low + (self.bounds[index] - low) * share

    def most(self) -> float | None:
        """Return a bound that none was above: inf if one was above all; None if it is empty."""
        if self.count <= 0:
            return None
        return next(b for b, n in zip(self.bounds, self.counts, strict=True) if n >= self.count)


def read_histogram(family: Family | None) -> CumulativeHistogram | None:
    """Add up the buckets of all ranks and models, by bound; None if there are none."""
    counts: dict[bytes, float] = {}
    for sample in family.samples if family else ():
        bound, value = _LE.search(sample), read_value(sample)
        if bound is not None and value is not None:
            counts[bound[1]] = counts.get(bound[1], 0.0) + value
    if not counts:
        return None
    found = sorted((float(bound), count) for bound, count in counts.items())
    return CumulativeHistogram(
        tuple(b for b, _ in found), array("d", (count for _, count in found))
    )
