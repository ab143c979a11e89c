from pathlib import Path

import pytest

from tests.helpers.used import used_names
from vllmd.scrape.derived import ERRORS, HIT_RATIO, LORA, MISSING, RULES, derive
from vllmd.scrape.families import Family, merge, parse_page
from vllmd.scrape.render import render_text

PAGES = Path(__file__).parents[2] / "data" / "metrics"


def derived(page: bytes, *adapters: str) -> dict[bytes, Family]:
    parsed = parse_page(page, "chat")
    return {f.name: f for f in derive(parsed.families, parsed.lora, "chat", adapters)}


@pytest.mark.parametrize("name", ["vllm-0.25-h200", "vllm-0.32-cpu"])
def test_real_pages_lack_nothing(name: str) -> None:
    found = derived((PAGES / f"{name}.prom").read_bytes())
    assert MISSING not in found
    assert {rule.name for rule in RULES} <= set(found)


def names_by_version() -> dict[str, set[bytes]]:
    """Read which families each release has, without `_total`, which is on the page only."""
    lines = (PAGES / "vllm-names-by-version.md").read_text().splitlines()
    rows = [[cell.strip(" `") for cell in x.split("|")[1:-1]] for x in lines if x.startswith("|")]
    return {
        version: {row[0].encode() for row in rows[2:] if row[column] == "x"}
        for column, version in enumerate(rows[0])
        if column
    }


@pytest.mark.parametrize(("version", "names"), names_by_version().items())
def test_every_release_has_what_each_rule_needs(version: str, names: set[bytes]) -> None:
    """As found in the wheels of these releases."""
    assert len(names) > 50
    for rule in RULES:
        assert any(source.removesuffix(b"_total") in names for source in rule.sources), rule.name


def test_values_and_labels_are_vllms_own() -> None:
    found = derived((PAGES / "vllm-0.32-cpu.prom").read_bytes())
    label = b'{vllmd_engine="chat",engine="0",model_name="tiny"'
    assert found[b"vllmd_kv_cache_usage_ratio"].samples == [
        b"vllmd_kv_cache_usage_ratio" + label + b"} 0.0"
    ]
    assert found[b"vllmd_tokens_total"].samples == [
        b"vllmd_tokens_total" + label + b',direction="prompt"} 230.0',
        b"vllmd_tokens_total" + label + b',direction="generation"} 148.0',
    ]
    finished = found[b"vllmd_requests_finished_total"].samples
    assert any(b',reason="length",' in s and s.endswith(b" 8.0") for s in finished)
    latency = found[b"vllmd_request_latency_seconds"].samples
    assert any(s.startswith(b"vllmd_request_latency_seconds_bucket{") for s in latency)
    assert any(s.startswith(b"vllmd_request_latency_seconds_count{") for s in latency)


def test_names_of_older_releases_lead_to_the_same() -> None:
    page = b"""# TYPE vllm:gpu_cache_usage_perc gauge
vllm:gpu_cache_usage_perc{engine="0"} 0.5
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0"} 3
# TYPE vllm:gpu_prefix_cache_queries counter
vllm:gpu_prefix_cache_queries_total{engine="0"} 8
vllm:gpu_prefix_cache_hits_total{engine="0"} 2
# TYPE vllm:time_per_output_token_seconds histogram
vllm:time_per_output_token_seconds_count{engine="0"} 1
"""
    found = derived(page)
    assert found[b"vllmd_kv_cache_usage_ratio"].samples[0].endswith(b" 0.5")
    assert found[b"vllmd_requests_waiting"].samples[0].endswith(b" 3")
    assert (
        b"vllmd_inter_token_latency_seconds_count"
        in (found[b"vllmd_inter_token_latency_seconds"].samples[0])
    )


def test_hit_ratio_is_of_each_rank_and_absent_where_nothing_was_asked() -> None:
    page = b"""# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0"} 8
vllm:prefix_cache_queries_total{engine="1"} 0
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0"} 2
vllm:prefix_cache_hits_total{engine="1"} 0
"""
    assert derived(page)[HIT_RATIO].samples == [
        b'vllmd_prefix_cache_hit_ratio{vllmd_engine="chat",engine="0"} 0.25'
    ]


def test_errors_are_failures_aborts_and_rejections_by_reason() -> None:
    page = b"""# TYPE vllm:request_success_total counter
vllm:request_success_total{finished_reason="stop"} 5
vllm:request_success_total{finished_reason="abort"} 2
vllm:request_success_total{finished_reason="error"} 1
# TYPE vllm:admission_rejections_total counter
vllm:admission_rejections_total{model_name="m",reason="max_num_queued_reqs"} 4
"""
    assert derived(page)[ERRORS].samples == [
        b'vllmd_request_errors_total{vllmd_engine="chat",reason="abort"} 2',
        b'vllmd_request_errors_total{vllmd_engine="chat",reason="error"} 1',
        b'vllmd_request_errors_total{vllmd_engine="chat",model_name="m",'
        b'reason="rejected_max_num_queued_reqs"} 4',
    ]


def test_what_is_gone_is_named() -> None:
    page = (PAGES / "vllm-0.32-cpu.prom").read_bytes().replace(b"kv_cache_usage_perc", b"kv_new")
    found = derived(page)
    assert found[MISSING].samples == [
        b'vllmd_vllm_missing_metrics{vllmd_engine="chat",metric="vllm:kv_cache_usage_perc"} 1'
    ]
    assert b"vllmd_kv_cache_usage_ratio" not in found


def test_adapters_are_those_of_the_newest_combination_and_only_those_configured() -> None:
    line = 'vllm:lora_requests_info{running_lora_adapters="%s",waiting_lora_adapters="%s"} %s\n'
    page = "".join(line % row for row in (("a", "", 10), ("b,x", "a", 20.5), ("", "", 15))).encode()
    found = derived(page, "a", 'b"c', "b")[LORA].samples
    assert [s.split(b",", 1)[1] for s in found] == [
        b'adapter="a",state="running"} 0',
        b'adapter="a",state="waiting"} 1',
        b'adapter="b\\"c",state="running"} 0',
        b'adapter="b\\"c",state="waiting"} 0',
        b'adapter="b",state="running"} 1',
        b'adapter="b",state="waiting"} 0',
    ]
    assert LORA not in derived(b"", "a")
    assert b"lora_requests_info" not in render_text(parse_page(page, "chat").families)


def test_engines_with_different_releases_make_one_family() -> None:
    one = derive(parse_page(b"vllm:num_requests_running 1\n", "a").families, None, "a", ())
    two = derive(parse_page(b"vllm:num_requests_running 2\n", "b").families, None, "b", ())
    page = render_text(merge([one, two])).decode()
    assert page.count("# TYPE vllmd_requests_running gauge") == 1
    assert 'vllmd_requests_running{vllmd_engine="b"} 2' in page


def test_recorded_pages_have_what_alerts_ask_for() -> None:
    """Of an H200 under 0.25 and a CPU under 0.32: what one of them has of these, the other has."""
    made = [
        {name.decode() for family in derived(page).values() for name in names_of(family)}
        for page in (path.read_bytes() for path in sorted(PAGES.glob("*.prom")))
    ]
    wanted = used_names() & (made[0] | made[1])
    assert len(wanted) >= 12
    assert wanted <= made[0] & made[1]


def names_of(family: Family) -> set[bytes]:
    return {sample[: sample.index(b"{")] for sample in family.samples}
