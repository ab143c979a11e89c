"""What the KV cache holds and saves, from what vLLM's page says. Pure."""

import re
from collections.abc import Iterator, Mapping

from vllmd.scrape.families import Family

CAPACITY = b"vllmd_kv_cache_capacity_tokens"
USED = b"vllmd_kv_cache_used_tokens"
HELPED = b"vllmd_prefix_cache_prompts_helped_ratio_min"

_CONFIG = b"vllm:cache_config_info"
_USAGE = b"vllm:kv_cache_usage_perc"
_PROMPT, _COMPUTED = b"vllm:request_prompt_tokens", b"vllm:request_prefill_kv_computed_tokens"
_RANK = re.compile(rb'[{,]engine="([^"]*)"')
_SIZE = re.compile(rb'[{,]kv_cache_size_tokens="(\d+)"')
_BLOCKS = re.compile(rb'[{,]num_gpu_blocks="(\d+)"')
_BLOCK_SIZE = re.compile(rb'[{,]block_size="(\d+)"')
_LE = re.compile(rb'([{,])le="([^"]*)",?')

There = Mapping[bytes, Family]


def derive_caching(there: There) -> list[Family]:
    """Return the families of ours that a page has what is needed for."""
    capacity = Family(CAPACITY, b"gauge", b"Tokens that the KV cache has room for.")
    used = Family(USED, b"gauge", b"Tokens that the KV cache holds for requests.")
    for labels, ratio, tokens in _kv_tokens(there):
        capacity.samples.append(b"%s%s %d" % (CAPACITY, labels, tokens))
        used.samples.append(b"%s%s %d" % (USED, labels, round(ratio * tokens)))
    return [capacity, used, _helped(there)]


def _kv_tokens(there: There) -> Iterator[tuple[bytes, float, int]]:
    """Yield labels, the share in use, and the room, for each rank."""
    config = there.get(_CONFIG)
    rooms = {_rank(sample): _room(sample) for sample in config.samples} if config else {}
    usage = there.get(_USAGE)
    for sample in usage.samples if usage else ():
        room = rooms.get(_rank(sample))
        if room is not None:
            head, _, value = sample.rpartition(b" ")
            yield head[head.index(b"{") :], float(value), room


def _rank(sample: bytes) -> bytes:
    match = _RANK.search(sample)
    return match[1] if match else b"0"


def _room(sample: bytes) -> int | None:
    """Return how many tokens there is room for. Source: releases before 0.24 give blocks only."""
    if size := _SIZE.search(sample):
        return int(size[1])
    blocks, block_size = _BLOCKS.search(sample), _BLOCK_SIZE.search(sample)
    return int(blocks[1]) * int(block_size[1]) if blocks and block_size else None


def _helped(there: There) -> Family:
    """At least this share of prompts had a part in the prefix cache.

    Two histograms are known: of the prompts' tokens, and of those that were computed. A prompt that
    is above a bound by the first and below it by the second was helped; so many more are below it.
    """
    text = b"Share of prompts found in the prefix cache in part, at least, since the start."
    family = Family(HELPED, b"gauge", text)
    prompts, computed = _buckets(there.get(_PROMPT)), _buckets(there.get(_COMPUTED))
    for labels, below in prompts.items():
        total = below.get(b"+Inf", 0.0)
        if total and labels in computed:
            crossed = max(computed[labels].get(bound, 0.0) - n for bound, n in below.items())
            family.samples.append(b"%s%s %r" % (HELPED, labels, max(0.0, crossed / total)))
    return family


def _buckets(family: Family | None) -> dict[bytes, dict[bytes, float]]:
    """Return the counts of a histogram's buckets by bound, for each set of other labels."""
    found: dict[bytes, dict[bytes, float]] = {}
    for sample in family.samples if family else ():
        head, _, value = sample.rpartition(b" ")
        bound = _LE.search(head)
        if bound is not None:
            labels = _LE.sub(rb"\1", head[head.index(b"{") :], count=1).replace(b",}", b"}")
            found.setdefault(labels, {})[bound[2]] = float(value)
    return found
