import random
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from vllmd.scrape.caching import CAPACITY, HELPED, USED, derive_caching
from vllmd.scrape.families import Family, parse_page

PAGES = Path(__file__).parents[2] / "data" / "metrics"


def derived(page: bytes) -> dict[bytes, Family]:
    there = {f.name: f for f in parse_page(page, "chat").families}
    return {f.name: f for f in derive_caching(there)}


@pytest.mark.parametrize(
    ("name", "tokens"), [("vllm-0.25-h200", b"390032"), ("vllm-0.32-cpu", b"2097152")]
)
def test_a_real_page_says_how_much_room_there_is(name: str, tokens: bytes) -> None:
    found = derived((PAGES / f"{name}.prom").read_bytes())
    (capacity,) = found[CAPACITY].samples
    assert capacity.startswith(CAPACITY + b'{vllmd_engine="chat",engine="0",model_name=')
    assert capacity.endswith(b" " + tokens)
    (used,) = found[USED].samples
    assert used.startswith(USED + b"{")


def test_room_of_an_older_page_is_its_blocks_and_what_is_used_a_share_of_it() -> None:
    page = (
        b'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="100"} 1.0\n'
        b'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25\n'
        b'vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.5\n'
    )
    found = derived(page)
    label = b'{vllmd_engine="chat",engine="0",model_name="m"}'
    assert found[CAPACITY].samples == [CAPACITY + label + b" 1600"]
    assert found[USED].samples == [USED + label + b" 400"]


def test_nothing_is_made_up_where_the_page_says_nothing() -> None:
    found = derived(b'vllm:kv_cache_usage_perc{engine="0"} 0.25\nvllm:cache_config_info{} 1\n')
    assert not any(family.samples for family in found.values())


def page_of(prompts: list[tuple[int, int]]) -> bytes:
    """Return the two histograms of prompts, each with so many tokens, and so many computed."""
    registry, bounds = CollectorRegistry(), (1, 10, 100, 1000)
    both = [
        Histogram(f"vllm:request_{name}_tokens", "x", ["engine"], registry=registry, buckets=bounds)
        for name in ("prompt", "prefill_kv_computed")
    ]
    for pair in prompts:
        for histogram, tokens in zip(both, pair, strict=True):
            histogram.labels("0").observe(tokens)
    return generate_latest(registry)


@pytest.mark.parametrize(
    ("prompts", "share"),
    [
        ([(500, 500), (50, 50)], 0.0),
        ([(500, 50), (50, 50), (50, 50), (50, 50)], 0.25),
        ([(500, 400)], 0.0),  # both in one bucket: not seen, which is why it is "at least"
        ([(500, 5), (500, 5), (50, 50), (5, 5)], 0.5),
    ],
)
def test_prompts_that_were_helped_are_counted_as_far_as_buckets_show_them(
    prompts: list[tuple[int, int]], share: float
) -> None:
    (sample,) = derived(page_of(prompts))[HELPED].samples
    assert sample == HELPED + b'{vllmd_engine="chat",engine="0"} %r' % share


def test_the_bound_is_never_above_the_truth() -> None:
    chance = random.Random(1)
    for _ in range(50):
        prompts = [(n, chance.randint(1, n)) for n in (chance.randint(1, 999) for _ in range(20))]
        (sample,) = derived(page_of(prompts))[HELPED].samples
        truth = sum(computed < tokens for tokens, computed in prompts) / len(prompts)
        assert float(sample.rpartition(b" ")[2]) <= truth


def test_no_prompts_have_no_share() -> None:
    registry = CollectorRegistry()
    Histogram("vllm:request_prompt_tokens", "x", ["engine"], registry=registry).labels("0")
    assert not derived(generate_latest(registry))[HELPED].samples
