"""Requests to a real vLLM, as their clients measured them and as spans and the page tell them."""

import json
import re
import secrets
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.conftest import LOAD_S, REPORT
from tests.helpers.prometheus import Prometheus
from tests.helpers.site import Site, wait_for
from tests.helpers.tracing import trace_headers
from tests.helpers.used import ELSEWHERE, used_names

BOUND_S = 0.25
TIMES_ON_THE_WAY = 10
"""On a busy host a client is late; how late, a request tells with which the engine has no work."""
"""What a client's clock may show more than the engine's: HTTP, JSON and a busy machine."""

DASHBOARDS = Path(__file__).parents[1] / "data" / "dashboards" / "vllm-0.32.json"
REQUESTS = "vllmd_span_requests_total"
SEQUENCES = "vllmd_span_sequences_total"


def sums(made: Site, name: str) -> dict[str, float]:
    """Return the sum of a histogram's values, by adapter."""
    return {key[0]: value for key, value in made.samples(f"vllmd_span_{name}_seconds_sum").items()}


def stream(made: Site, model: str, headers: Mapping[str, str]) -> tuple[float, float, int]:
    """Ask for a completion; returns seconds to the first token and to the last, and tokens."""
    began = time.monotonic()
    first, tokens = 0.0, 0
    for part in made.client().completions.create(
        model=model,
        prompt="The quick brown fox",
        max_tokens=16,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
        extra_headers=headers,
    ):
        first = first or time.monotonic() - began
        tokens = part.usage.completion_tokens if part.usage else tokens
    return first, time.monotonic() - began, tokens


def without_engine(made: Site) -> float:
    """Ask for the models; returns seconds."""
    began = time.monotonic()
    made.client().models.list()
    return time.monotonic() - began


def sequences(made: Site) -> float:
    return made.samples(SEQUENCES).get(("tiny",), 0.0)


def settled(made: Site) -> float:
    """Wait until no more spans come, and return how many came."""
    seen, since = sequences(made), time.monotonic()
    while time.monotonic() - since < 3:
        time.sleep(0.2)
        if (now := sequences(made)) != seen:
            seen, since = now, time.monotonic()
    return seen


def test_spans_tell_what_clients_measured(real: Site) -> None:
    stream(real, "tiny", {})
    before, count = settled(real), real.samples(REQUESTS)
    e2e, first = sums(real, "e2e"), sums(real, "time_to_first_token")
    tokens = real.samples("vllmd_span_tokens_total")
    measured: dict[str, list[tuple[float, float, int]]] = {}
    on_the_way_s: list[float] = []
    for model, adapter in (
        ("tiny", "tiny"),
        ("domain", "domain"),
        ("tiny", None),
        ("domain", None),
        ("tiny", "nosuch"),
    ):
        label = adapter if adapter in ("tiny", "domain") else "unknown"
        for _ in range(4):
            headers = trace_headers(adapter, sampled=False)
            measured.setdefault(label, []).append(stream(real, model, headers))
            on_the_way_s.append(without_engine(real))
    wait_for("spans", lambda: sequences(real) == before + 20, 20)
    worst, bound_s = 0.0, BOUND_S + TIMES_ON_THE_WAY * statistics.fmean(on_the_way_s)
    for label, taken in measured.items():
        key = (label, "tiny")
        assert real.samples(REQUESTS)[key] - count.get(key, 0) == len(taken)
        now = real.samples("vllmd_span_tokens_total")
        generated = (label, "generation", "tiny")
        assert now[generated] - tokens.get(generated, 0) == sum(t for _, _, t in taken)
        for name, earlier, index in (("time_to_first_token", first, 0), ("e2e", e2e, 1)):
            spans_s = (sums(real, name)[label] - earlier.get(label, 0)) / len(taken)
            client_s = sum(each[index] for each in taken) / len(taken)
            assert 0 < spans_s < client_s + 0.005, (label, name, spans_s, client_s)
            assert client_s - spans_s < bound_s, (label, name, spans_s, client_s, bound_s)
            worst = max(worst, client_s - spans_s)
    assert real.samples("vllmd_span_unknown_adapter_total")["tiny",] >= 4
    assert real.samples("vllmd_span_invalid_total") == {}
    REPORT.append(
        f"spans against clients, 20 requests by 3 adapters: counts and tokens equal, mean times "
        f"at most {worst * 1000:.0f} ms shorter than clients saw (bound {bound_s * 1000:.0f} ms)"
    )


def test_ask_is_answered_by_the_base_model_and_the_adapter(real: Site) -> None:
    asked = real.vllmd("ask", "--all", "--json")
    assert asked.returncode == 0, asked.stderr
    answers = json.loads(asked.stdout)
    assert [each["model"] for each in answers] == ["tiny", "domain"]
    for each in answers:
        assert each["error"] is None
        assert each["completion_tokens"] >= 1
        assert 0 < each["time_to_first_token_s"] <= each["total_s"]
    refused = real.vllmd("ask", "-m", "nosuch")
    assert refused.returncode == 66
    assert "no engine serves 'nosuch'; there is: tiny, domain" in refused.stderr


def test_three_sequences_are_one_request(real: Site) -> None:
    before, count = settled(real), real.samples(REQUESTS).get(("unknown", "tiny"), 0)
    real.client().completions.create(
        model="tiny", prompt="hello", n=3, max_tokens=4, temperature=0.9
    )
    wait_for("spans", lambda: sequences(real) == before + 3, 10)
    assert real.samples(REQUESTS)["unknown", "tiny"] == count + 1


def test_exemplars_lead_from_a_bucket_to_a_trace(real: Site, stored: Prometheus) -> None:
    headers = trace_headers("domain")
    trace_id = headers["traceparent"].split("-")[1]
    real.chat("domain", tokens=4, headers=headers)

    def found() -> bool:
        exemplars = stored.exemplars('vllmd_span_e2e_seconds_bucket{adapter="domain"}')
        return trace_id in {each["labels"]["trace_id"] for each in exemplars}

    wait_for("the exemplar", found, 30)
    shown = json.loads(real.vllmd("traces", "--json").stdout)
    windows = [window for window in (shown["current"], shown["last"]) if window]
    ids = {r["trace_id"] for w in windows for listed in w["slowest"].values() for r in listed}
    assert ids


def test_parts_of_the_start_came_as_spans(real: Site) -> None:
    parts = {key[0]: v for key, v in real.samples("vllmd_engine_start_span_seconds").items()}
    assert {"Overall Loading", "Load model", "Load weights", "EngineCoreProc init"} <= set(parts)
    assert parts["Overall Loading"] > parts["Load model"] > 0
    shown = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in sorted(parts.items()))
    REPORT.append(f"parts of a start, by spans: {shown}")


def test_derived_series_are_whole_and_vllms_dashboards_work(real: Site, stored: Prometheus) -> None:
    for model in ("tiny", "domain"):
        for _ in range(3):
            real.chat(model, text=secrets.token_hex(20), tokens=8)
            stored.wait_scrapes(1)
    assert stored.query("vllmd_vllm_missing_metrics") == []
    for name in (
        "vllmd_kv_cache_usage_ratio",
        "vllmd_prefix_cache_hit_ratio",
        'vllmd_requests_waiting{reason="capacity"}',
        'vllmd_tokens_total{direction="generation"}',
        'vllmd_request_errors_total{reason="error"}',
        "vllmd_request_latency_seconds_bucket",
        'vllmd_lora_active{adapter="domain",state="running"}',
    ):
        assert stored.query(name), name
    queries = json.loads(DASHBOARDS.read_text())
    variables = {
        "$model_name": "tiny",
        "$Deployment_id": ".*",
        "$__rate_interval": "1m",
        "$__interval": "1m",
        "$__range": "5m",
    }
    for query in queries:
        expr = query["expr"]
        for name, value in variables.items():
            expr = expr.replace(name, value)
        assert stored.query(expr), query
    REPORT.append(f"vLLM's own dashboards: {len(queries)} queries, all with data on vllmd's page")


def test_rules_ask_only_for_what_a_real_page_has(real: Site) -> None:
    """What is of GPUs, and of costs, a host with a CPU build has not."""
    names = set(re.findall(r"^(vllmd_\w+)[{ ]", real.metrics(), re.MULTILINE))
    elsewhere = re.compile(
        "vllmd_(gpu|nvml|cost)_.*|vllmd_engine_(gpu_memory_growth_bytes|energy_joules_total)"
    )
    missing = {n for n in used_names() - names - set(ELSEWHERE) if not elsewhere.fullmatch(n)}
    assert missing == set()
    assert len(used_names() & names) > 25


def test_a_clean_stop_loses_no_span_and_coverage_is_whole(real: Site) -> None:
    before = settled(real)
    for _ in range(5):
        real.chat("tiny", tokens=4)
    assert real.vllmd("stop", "tiny").returncode == 0
    assert sequences(real) == before + 5
    assert real.vllmd("start", "tiny").returncode == 0
    real.wait_state("tiny", "ready", LOAD_S)
    for _ in range(3):
        real.chat("tiny", tokens=4)
    ratio = wait_for("coverage", lambda: real.samples("vllmd_span_coverage_ratio"), 60)
    assert ratio == {("tiny",): pytest.approx(1.0)}
    assert sequences(real) >= before + 8
