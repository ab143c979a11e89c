"""One set of names for what vLLM shows, whatever its release calls it. Pure.

Dashboards and alerts use these; the table is the only place that knows vLLM's own names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from vllmd.scrape.caching import derive_caching
from vllmd.scrape.families import Family


@attrs.frozen
class Rule:
    """A family of ours, and what it is made of."""

    name: bytes
    type: bytes
    help: bytes
    sources: tuple[bytes, ...]
    """vLLM's names for it, the newest first; the first that is there counts."""
    label: bytes = b""
    """A label that is added, such as ``direction="prompt"``."""
    renamed: tuple[bytes, bytes] | None = None
    """A label that gets another name."""


def _tokens(direction: bytes, *sources: bytes) -> Rule:
    text = b"Tokens that vLLM took in and put out."
    return Rule(b"vllmd_tokens_total", b"counter", text, sources, b'direction="%s"' % direction)


RULES: tuple[Rule, ...] = (
    Rule(
        b"vllmd_requests_running",
        b"gauge",
        b"Requests that are being computed.",
        (b"vllm:num_requests_running",),
    ),
    Rule(
        b"vllmd_requests_waiting",
        b"gauge",
        b"Requests that wait, by what for.",
        (b"vllm:num_requests_waiting_by_reason", b"vllm:num_requests_waiting"),
    ),
    Rule(
        b"vllmd_kv_cache_usage_ratio",
        b"gauge",
        b"Share of the KV cache that is in use, 0 to 1.",
        (b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc"),
    ),
    Rule(
        b"vllmd_prefix_cache_queries_total",
        b"counter",
        b"Tokens that were looked for in the prefix cache.",
        (b"vllm:prefix_cache_queries_total", b"vllm:gpu_prefix_cache_queries_total"),
    ),
    Rule(
        b"vllmd_prefix_cache_hits_total",
        b"counter",
        b"Tokens that were found in the prefix cache.",
        (b"vllm:prefix_cache_hits_total", b"vllm:gpu_prefix_cache_hits_total"),
    ),
    Rule(
        b"vllmd_prompt_tokens_cached_total",
        b"counter",
        b"Prompt tokens that were not computed, because the prefix cache had them.",
        (b"vllm:prompt_tokens_cached_total", b"vllm:prefix_cache_hits_total"),
    ),
    _tokens(b"prompt", b"vllm:prompt_tokens_total"),
    _tokens(b"generation", b"vllm:generation_tokens_total"),
    Rule(
        b"vllmd_preemptions_total",
        b"counter",
        b"Requests whose KV cache was taken away, to be computed again.",
        (b"vllm:num_preemptions_total",),
    ),
    Rule(
        b"vllmd_requests_finished_total",
        b"counter",
        b"Sequences that finished, by reason.",
        (b"vllm:request_success_total",),
        renamed=(b"finished_reason", b"reason"),
    ),
    Rule(
        b"vllmd_request_latency_seconds",
        b"histogram",
        b"Time from arrival to the last token, in seconds.",
        (b"vllm:e2e_request_latency_seconds",),
    ),
    Rule(
        b"vllmd_time_to_first_token_seconds",
        b"histogram",
        b"Time from arrival to the first token, in seconds.",
        (b"vllm:time_to_first_token_seconds",),
    ),
    Rule(
        b"vllmd_inter_token_latency_seconds",
        b"histogram",
        b"Time between two tokens, in seconds.",
        (b"vllm:inter_token_latency_seconds", b"vllm:time_per_output_token_seconds"),
    ),
    Rule(
        b"vllmd_request_queue_seconds",
        b"histogram",
        b"Time that a request waited before it was computed, in seconds.",
        (b"vllm:request_queue_time_seconds",),
    ),
    Rule(
        b"vllmd_request_prefill_seconds",
        b"histogram",
        b"Time in which a request's prompt was computed, in seconds.",
        (b"vllm:request_prefill_time_seconds",),
    ),
    Rule(
        b"vllmd_request_decode_seconds",
        b"histogram",
        b"Time in which a request's answer was computed, in seconds.",
        (b"vllm:request_decode_time_seconds",),
    ),
)

Renamed = dict[Rule, tuple[Family, list[bytes]]]
"""The samples that each rule made last, and of what."""
ERRORS = b"vllmd_request_errors_total"
ERROR_REASONS = frozenset({b"error", b"abort", b"repetition"})
REJECTIONS = b"vllm:admission_rejections_total"
HIT_RATIO = b"vllmd_prefix_cache_hit_ratio"
MISSING = b"vllmd_vllm_missing_metrics"
LORA = b"vllmd_lora_active"

_REASON = re.compile(rb'[{,](?:finished_)?reason="([^"]*)"')
_NAMES = re.compile(rb'(running|waiting)_lora_adapters="((?:[^"\\]|\\.)*)"')


def derive(
    families: Iterable[Family],
    lora: bytes | None,
    engine: str,
    adapters: Sequence[str],
    renamed: Renamed | None = None,
) -> list[Family]:
    """Return the families of ours that an engine's page has what is needed for.

    `lora` is the newest sample of `vllm:lora_requests_info`; `adapters` are those configured. What
    `renamed` has of the page before is used again, for families that are the same objects.
    """
    renamed = {} if renamed is None else renamed
    there = {family.name: family for family in families}
    made: dict[bytes, Family] = {}
    missing: list[bytes] = []
    for rule in RULES:
        source = next((there[name] for name in rule.sources if name in there), None)
        if source is None:
            missing.append(rule.sources[0])
            continue
        family = made.setdefault(rule.name, Family(rule.name, rule.type, rule.help))
        known = renamed.get(rule)
        if known is None or known[0] is not source:
            known = renamed[rule] = source, list(_renamed(source, rule))
        family.samples += known[1]
    label = b'vllmd_engine="%s"' % engine.encode()
    made[MISSING] = Family(
        MISSING, b"gauge", b"1 for each family that vLLM should have, and has not."
    )
    made[MISSING].samples += [
        b'%s{%s,metric="%s"} 1' % (MISSING, label, name) for name in sorted(missing)
    ]
    made[ERRORS] = _errors(there)
    made[HIT_RATIO] = _hit_ratio(made)
    made[LORA] = _lora(lora, label, adapters)
    made |= {family.name: family for family in derive_caching(there)}
    return [family for family in made.values() if family.samples]


def _renamed(source: Family, rule: Rule) -> Iterator[bytes]:
    """Yield a family's samples under another name; values and other labels stay byte for byte."""
    skip, added = len(source.name), b"," + rule.label + b"} " if rule.label else b""
    for sample in source.samples:
        line = rule.name + sample[skip:]
        if added:
            head, _, value = line.rpartition(b"} ")
            line = head + added + value
        if rule.renamed is not None:
            old, new = rule.renamed
            line = line.replace(b",%s=" % old, b",%s=" % new, 1)
        yield line


def _errors(there: Mapping[bytes, Family]) -> Family:
    """Requests that did not end as they should, by reason; rejections with a prefix."""
    family = Family(ERRORS, b"counter", b"Requests that failed, were given up or rejected.")
    finished = there.get(b"vllm:request_success_total")
    for sample in finished.samples if finished else ():
        reason = _REASON.search(sample)
        if reason is not None and reason[1] in ERROR_REASONS:
            line = sample.replace(b",finished_reason=", b",reason=", 1)
            family.samples.append(ERRORS + line[line.index(b"{") :])
    rejected = there.get(REJECTIONS)
    for sample in rejected.samples if rejected else ():
        line = sample.replace(b'reason="', b'reason="rejected_', 1)
        family.samples.append(ERRORS + line[line.index(b"{") :])
    return family


def _hit_ratio(made: Mapping[bytes, Family]) -> Family:
    """Hits over queries since the engine started; for a window, divide two rates."""
    text = b"Share of tokens that were found in the prefix cache, since the engine started."
    family = Family(HIT_RATIO, b"gauge", text)
    queries = _by_labels(made.get(b"vllmd_prefix_cache_queries_total"))
    for labels, hits in _by_labels(made.get(b"vllmd_prefix_cache_hits_total")).items():
        asked = queries.get(labels, 0.0)
        if asked > 0:
            family.samples.append(b"%s%s %r" % (HIT_RATIO, labels, hits / asked))
    return family


def _by_labels(family: Family | None) -> dict[bytes, float]:
    values = {}
    for sample in family.samples if family else ():
        head, _, value = sample.rpartition(b" ")
        values[head[head.index(b"{") :]] = float(value)
    return values


def _lora(lora: bytes | None, label: bytes, adapters: Sequence[str]) -> Family:
    """Which configured adapters have requests now: vLLM has a series for each combination."""
    text = b"1 if requests for the adapter are in that state now."
    family = Family(LORA, b"gauge", text)
    if lora is None:
        return family
    now = {state: names.split(b",") for state, names in _NAMES.findall(lora)}
    for adapter in adapters:
        name = _escaped(adapter)
        for state in (b"running", b"waiting"):
            active = name in now.get(state, ())
            family.samples.append(
                b'%s{%s,adapter="%s",state="%s"} %d' % (LORA, label, name, state, active)
            )
    return family


def _escaped(name: str) -> bytes:
    return name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode()
