from array import array

import pytest

from tests.helpers.make import DATA
from vllmd.scrape.families import parse_page
from vllmd.scrape.histogram import CumulativeHistogram
from vllmd.status.load import read_load

INF = float("inf")


@pytest.mark.parametrize("page", ["vllm-0.25-h200.prom", "vllm-0.32-cpu.prom"])
def test_read_load_of_a_recorded_page_has_all_figures(page: str) -> None:
    content = (DATA / "metrics" / page).read_bytes()
    load = read_load(parse_page(content, "chat").families)
    assert load.running is not None
    assert load.waiting is not None
    assert load.kv_cache_usage is not None
    assert load.generated_tokens
    assert load.prompt_tokens
    assert load.ttft is not None
    assert load.itl is not None
    assert load.ttft.bounds[-1] == load.itl.bounds[-1] == INF
    assert list(load.ttft.counts) == sorted(load.ttft.counts)


def test_read_load_adds_up_ranks_and_takes_the_fullest_cache() -> None:
    page = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} 3
vllm:num_requests_running{engine="1"} 4
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.7
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="1.0"} 2
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} 3
vllm:time_to_first_token_seconds_bucket{engine="1",le="1.0"} 5
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf"} 5
vllm:time_to_first_token_seconds_count{engine="1"} 5
"""
    load = read_load(parse_page(page, "chat").families)
    assert (load.running, load.kv_cache_usage) == (7.0, 0.7)
    assert load.ttft == CumulativeHistogram((1.0, INF), array("d", (7.0, 8.0)))
    assert (load.waiting, load.itl, load.generated_tokens) == (None, None, None)


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"-1", b"1e300"])
def test_read_load_takes_what_is_no_count_for_absent(value: bytes) -> None:
    page = b"""# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0"} %s
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} %s
# TYPE vllm:inter_token_latency_seconds histogram
vllm:inter_token_latency_seconds_bucket{engine="0",le="1.0"} %s
""" % (value, value, value)
    load = read_load(parse_page(page, "chat").families)
    assert (load.running, load.kv_cache_usage, load.itl) == (None, None, None)
