"""What one page of vLLM says of its load: requests, tokens, latencies, the KV cache. Pure."""

from collections.abc import Iterable, Mapping

import attrs

from vllmd.scrape.derived import RULES
from vllmd.scrape.families import Family, read_value
from vllmd.scrape.histogram import CumulativeHistogram, read_histogram


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


def _histogram(there: Mapping[bytes, Family], names: Iterable[bytes]) -> CumulativeHistogram | None:
    return read_histogram(_family(there, names))
