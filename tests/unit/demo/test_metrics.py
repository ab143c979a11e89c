import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.make import DATA
from vllmd.demo.args import parse_args
from vllmd.demo.engine import DemoRequest
from vllmd.demo.metrics import Metrics

REAL = (DATA / "metrics" / "vllm-0.32-cpu.prom").read_text()


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.delenv("PROMETHEUS_DISABLE_CREATED_SERIES", raising=False)
    return Metrics(parse_args(["serve", "m", "--served-model-name", "tiny", "--max-loras", "2"]))


def use(metrics: Metrics) -> None:
    request = DemoRequest(5, 8, first_token_at=time.monotonic(), tokens=8)
    step = {"running": 1, "waiting": 0, "step_tokens": 6, "tokens": {"0": "x"}}
    metrics.stepped(step, 6)
    metrics.finished(request, "length")
    for path in ("/v1/chat/completions", "/v1/completions"):
        metrics.handled(path, 200, 0.1, (10, 20))
    metrics.lora("domain", "")


def shape(page: str) -> dict[str, set[frozenset[str]]]:
    """Return the sets of label names of every sample name."""
    found: dict[str, set[frozenset[str]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                found.setdefault(sample.name, set()).add(frozenset(sample.labels))
    return found


def test_page_has_the_shape_of_the_real_one(metrics: Metrics) -> None:
    use(metrics)
    ours, real = shape(metrics.page().decode()), shape(REAL)
    expected = {k: v for k, v in real.items() if not k.startswith("python_gc")}
    assert ours == expected


def test_numbers_move(metrics: Metrics) -> None:
    use(metrics)
    page = metrics.page().decode()
    labels = 'engine="0",model_name="tiny"'
    assert f"vllm:iteration_tokens_total_count{{{labels}}} 1.0" in page
    assert f"vllm:prompt_tokens_total{{{labels}}} 5.0" in page
    assert f"vllm:request_generation_tokens_sum{{{labels}}} 8.0" in page
