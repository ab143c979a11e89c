"""What one page of vLLM says of its load: requests, tokens, latencies, the KV cache. Pure."""

from collections.abc import Iterable, Mapping

import attrs

from vllmd.scrape.derived import RULES
from vllmd.scrape.families import Family
from vllmd.scrape.histogram import Histogram, read_histogram, read_value


def _names(ours: bytes, label: bytes = b"") -> tuple[bytes, ...]:
    """Return vLLM's names for a family of ours, as the table of all names has them."""
    return next(r.sources for r in RULES if (r.name, r.label) == (ours, label))


_RUNNING = _names(b"vllmd_requests_running")
_WAITING = _names(b"vllmd_requests_waiting")
_KV_CACHE = _names(b"vllmd_kv_cache_usage_ratio")
_PROMPT = _names(b"vllmd_tokens_total", b'direction="prompt"')
_GENERATED = _names(b"vllmd_tokens_total", b'direction="generation"')
_TTFT = _names(b"vllmd_time_to_first_token_seconds")
_ITL = _names(b"vllmd_inter_token_latency_seconds")


@attrs.frozen
<<<<<<< HEAD
class CumulativeHistogram:
    """A cumulative histogram: how many were at most each bound, in seconds; the last is inf."""

    bounds: tuple[float, ...]
    counts: "array[float]"

    def since(self, before: "CumulativeHistogram") -> "CumulativeHistogram | None":
        """Return what was added since an earlier one; None if that was another process's."""
        if before.bounds != self.bounds:
            return None
        added = array(
            "d", (now - then for now, then in zip(self.counts, before.counts, strict=True))
        )
        return (
            None if any(count < 0 for count in added) else CumulativeHistogram(self.bounds, added)
        )

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile as Prometheus' `histogram_quantile` does; None if it is empty.

        It is linear within a bucket; above the last finite bound, that bound.
        """
        total = self.counts[-1] if self.counts else 0.0
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


@attrs.frozen
=======
>>>>>>> 3ffdabf (wip)
class Load:
    """One reading; what the page does not have is None. Ranks are added up."""

    running: float | None
    waiting: float | None
    kv_cache_usage: float | None
    """Of the rank that uses most, 0 to 1."""
    prompt_tokens: float | None
    """Since the engine began, as `generated_tokens`."""
    generated_tokens: float | None
    ttft: CumulativeHistogram | None
    itl: CumulativeHistogram | None


def read_load(families: Iterable[Family]) -> Load:
    """Return what a page says."""
    there = {family.name: family for family in families}
    usage = _values(there, _KV_CACHE)
    return Load(
        running=_sum(there, _RUNNING),
        waiting=_sum(there, _WAITING),
        kv_cache_usage=max(usage) if usage else None,
        prompt_tokens=_sum(there, _PROMPT),
        generated_tokens=_sum(there, _GENERATED),
        ttft=_histogram(there, _TTFT),
        itl=_histogram(there, _ITL),
    )


def _family(there: Mapping[bytes, Family], names: Iterable[bytes]) -> Family | None:
    return next((there[name] for name in names if name in there), None)


def _values(there: Mapping[bytes, Family], names: Iterable[bytes]) -> list[float]:
    family = _family(there, names)
    values = map(read_value, family.samples) if family else ()
    return [value for value in values if value is not None]


def _sum(there: Mapping[bytes, Family], names: Iterable[bytes]) -> float | None:
    values = _values(there, names)
    return sum(values) if values else None


<<<<<<< HEAD
def _histogram(there: Mapping[bytes, Family], names: Iterable[bytes]) -> CumulativeHistogram | None:
    """Add up the buckets of all ranks and models, by bound."""
    family = _family(there, names)
    counts: dict[bytes, float] = {}
    for sample in family.samples if family else ():
        bound, value = _LE.search(sample), _value(sample)
        if bound is not None and value is not None:
            counts[bound[1]] = counts.get(bound[1], 0.0) + value
    if not counts:
        return None
    found = sorted((float(bound), count) for bound, count in counts.items())
    return CumulativeHistogram(
        tuple(b for b, _ in found), array("d", (count for _, count in found))
    )
=======
def _histogram(there: Mapping[bytes, Family], names: Iterable[bytes]) -> Histogram | None:
    return read_histogram(_family(there, names))
>>>>>>> 3ffdabf (wip)
