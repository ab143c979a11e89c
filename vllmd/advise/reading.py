"""What one page of vLLM says that advice is made of: counters, histograms, and how it stands. Pure.

Source of the names: vllm/v1/metrics/loggers.py and vllm/v1/spec_decode/metrics.py, 0.25 to 0.32.
"""

import re
from collections.abc import Iterable, Mapping

import attrs

from vllmd.scrape.families import Family, read_value
from vllmd.scrape.histogram import CumulativeHistogram, read_histogram

COUNTERS: dict[str, tuple[tuple[bytes, ...], bytes]] = {
    "finished": ((b"vllm:request_success_total",), b"finished_reason"),
    "rejected": ((b"vllm:admission_rejections_total",), b"reason"),
    "preemptions": ((b"vllm:num_preemptions_total",), b""),
    "prompt_tokens": ((b"vllm:prompt_tokens_total",), b""),
    "generation_tokens": ((b"vllm:generation_tokens_total",), b""),
    "drafts": ((b"vllm:spec_decode_num_drafts_total",), b""),
    "draft_tokens": ((b"vllm:spec_decode_num_draft_tokens_total",), b""),
    "accepted": ((b"vllm:spec_decode_num_accepted_tokens_per_pos_total",), b"position"),
}
"""vLLM's names for each, the newest first, and the label by which it is kept apart."""
HISTOGRAMS: dict[str, tuple[bytes, ...]] = {
    "prompt": (b"vllm:request_prompt_tokens",),
    "answer": (b"vllm:request_generation_tokens",),
    "first_token_s": (b"vllm:time_to_first_token_seconds",),
    "queue_s": (b"vllm:request_queue_time_seconds",),
    "between_tokens_s": (
        b"vllm:inter_token_latency_seconds",
        b"vllm:time_per_output_token_seconds",
    ),
}
_RUNNING = (b"vllm:num_requests_running",)
_WAITING = (b"vllm:num_requests_waiting",)
_KV_CACHE = (b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc")


@attrs.frozen
class EngineMoment:
    """How an engine stands at one moment: all ranks, and the fullest KV cache of them."""

    running: float
    waiting: float
    kv_cache: float | None


@attrs.frozen
class EngineCounts:
    """What an engine has counted since it began."""

    counts: Mapping[str, float] = attrs.field(factory=dict)
    histograms: Mapping[str, CumulativeHistogram] = attrs.field(factory=dict)

    def since(self, before: "EngineCounts") -> "EngineCounts":
        """Return what was added; what fell began anew."""
        counts = {
            name: now - then if now >= (then := before.counts.get(name, 0.0)) else now
            for name, now in self.counts.items()
        }
        histograms = {}
        for name, new in self.histograms.items():
            old = before.histograms.get(name)
            histograms[name] = (new.since(old) if old else None) or new
        return EngineCounts(counts, {name: h for name, h in histograms.items() if h.count})


def read_moment(families: Iterable[Family]) -> EngineMoment | None:
    """Return how an engine stands; None if its page does not say (--disable-log-stats)."""
    wanted = (*_RUNNING, *_WAITING, *_KV_CACHE)
    there = {each.name: each for each in families if each.name in wanted}
    running, waiting = _values(there, _RUNNING), _values(there, _WAITING)
    if not running or not waiting:
        return None
    return EngineMoment(sum(running), sum(waiting), max(_values(there, _KV_CACHE), default=None))


def read_counted(families: Iterable[Family]) -> EngineCounts:
    """Return what it has counted."""
    there = {each.name: each for each in families}
    counts: dict[str, float] = {}
    for name, (sources, label) in COUNTERS.items():
        family = _first(there, sources)
        value_of = re.compile(rb'[{,]%s="([^"\\]{1,40})"' % label) if label else None
        for sample in family.samples if family else ():
            value, found = read_value(sample), value_of.search(sample) if value_of else None
            if value is None or (value_of and not found):
                continue
            key = f"{name}/{found[1].decode(errors='replace')}" if found else name
            counts[key] = counts.get(key, 0.0) + value
    read = {name: read_histogram(_first(there, names)) for name, names in HISTOGRAMS.items()}
    return EngineCounts(counts, {name: each for name, each in read.items() if each is not None})


def _first(there: Mapping[bytes, Family], names: Iterable[bytes]) -> Family | None:
    return next((there[name] for name in names if name in there), None)


def _values(there: Mapping[bytes, Family], names: Iterable[bytes]) -> list[float]:
    family = _first(there, names)
    return [v for s in (family.samples if family else ()) if (v := read_value(s)) is not None]
