"""What alerts of requests, adapters and costs are for, done to an engine that serves."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import Site, site
from tests.integration.causes.conftest import BUSY_S, Watch, Watched, about
from tests.integration.conftest import COST, config_for
from vllmd.demo.adapter import write_adapter

FINISHED = 'vllmd_requests_finished_total{reason="length"}'
ASKED: list[str] = []
"""What was asked for so far: all of it is finished by the model, whatever is answered."""
FAULTY = Path(__file__).parents[2] / "helpers" / "faulty_engine.py"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A host with a demonstration's GPU and prices; its engine does what prompts ask for."""
    folder = tmp_path_factory.mktemp("chat")
    exporter, api = free_port(), free_port()
    text = config_for(folder, exporter, api) + COST
    program = json.dumps([sys.executable, str(FAULTY)])
    text = text.replace('executable = "stand-in"', f"executable = {program}")
    text = text.replace("max_num_seqs = 256", "max_num_seqs = 1\nmax_model_len = 100000")
    text = text.replace("budget_million_tokens = 2", "budget_million_tokens = 100000")
    text = text.replace("stall_s = 2", "stall_s = 600").replace("hang_s = 5", "hang_s = 600")
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready", BUSY_S)
        yield made


@pytest.fixture
def pages(host: Site, watch: Watch, alert: str) -> Watched:
    """The pages so far, of a host whose engine has answered well for an hour."""
    made = watch(host, alert).well()
    answered(host, made)
    made.look()
    for _ in range(20):
        ask(host)
    answered(host, made)
    return made.look().go_on(60).look()


def answered(host: Site, pages: Watched) -> None:
    """Ask once more, and wait until the page has counted all that was asked for."""
    ask(host)
    pages.until(FINISHED, len(ASKED))


def ask(host: Site, fault: str = "", tokens: int = 2, words: int = 1) -> int:
    """Ask once; returns the status."""
    ASKED.append(fault)
    text = f"fault:{fault}" if fault else "hello " * words
    body = {"model": "tiny", "max_tokens": tokens, "messages": [{"role": "user", "content": text}]}
    url = f"{host.api}/v1/chat/completions"
    return httpx.post(url, json=body, trust_env=False, timeout=60).status_code


COUNTED = [
    ("VllmdTtftBudgetBurn", "late", 5, 60),
    ("VllmdTtftBudgetSlowBurn", "late", 1, 120),
    ("VllmdItlBudgetBurn", "slow", 5, 60),
    ("VllmdItlBudgetSlowBurn", "slow", 1, 120),
    ("VllmdQueueSlow", "queued", 5, 30),
    ("VllmdPreemptions", "preempted", 5, 40),
    ("VllmdRequestErrors", "failed", 5, 20),
    ("VllmdHttpErrors", "http", 5, 20),
    ("VllmdRejections", "rejected", 8, 30),
]
"""An alert; what is asked for, of 20 requests in a minute how often, and for how many minutes that
goes on."""


@pytest.mark.parametrize(("alert", "fault", "times", "minutes"), COUNTED)
def test_requests_that_go_wrong(
    host: Site, pages: Watched, fault: str, times: int, minutes: int
) -> None:
    for n in range(19):
        ask(host, fault if n < times else "")
    answered(host, pages)
    pages.look().go_on(minutes).only()


@contextmanager
def endless(host: Site, words: int = 1) -> Iterator[None]:
    """Let a request run, or wait, until the end of the block."""
    body = {
        "model": "tiny",
        "max_tokens": 20000,
        "stream": True,
        "messages": [{"role": "user", "content": "hello " * words}],
    }
    url = f"{host.api}/v1/chat/completions"
    with httpx.Client(trust_env=False) as client, client.stream("POST", url, json=body):
        yield


@about("VllmdKvCacheSaturated")
def test_kv_cache_that_is_full(host: Site, pages: Watched) -> None:
    """One request has nearly all of it, and others wait."""
    with endless(host, 65000), endless(host), endless(host):
        pages.until_above("vllmd_kv_cache_usage_ratio", 0.95)
        pages.until_above("vllmd_requests_waiting", 1).look(30)
    pages.only()


@about("VllmdQueueStuck")
def test_queue_that_grows_while_nothing_finishes(host: Site, pages: Watched) -> None:
    with ExitStack() as waiting:
        waiting.enter_context(endless(host))
        for n in range(1, 6):
            waiting.enter_context(endless(host))
            pages.until("vllmd_requests_waiting", n).look(8)
    pages.only()


@about("VllmdAdapterStale")
def test_adapter_whose_files_changed(host: Site, pages: Watched) -> None:
    adapter = host.folder / "lora" / "sql"
    write_adapter(adapter, rank=16)
    pages.until('vllmd_lora_adapter_stale{adapter="sql"}', 1).look(20).only()
    assert host.vllmd("lora", "reload", "sql").returncode == 0


@about("VllmdAdapterNotLoaded")
def test_adapter_whose_files_are_gone(host: Site, pages: Watched) -> None:
    adapter, aside = host.folder / "lora" / "sql", host.folder / "aside"
    shutil.move(adapter, aside)
    body = {"lora_name": "sql"}
    httpx.post(f"{host.api}/v1/unload_lora_adapter", json=body, trust_env=False)
    try:
        pages.until('vllmd_lora_adapter_loaded{adapter="sql"}', 0).look(10).only()
    finally:
        shutil.move(aside, adapter)
        pages.until('vllmd_lora_adapter_loaded{adapter="sql"}', 1)


@about("VllmdCostAboveBudget")
def test_tokens_that_cost_more_than_they_may(host: Site, pages: Watched) -> None:
    """Few tokens for a whole GPU; the budget comes with a reload."""
    text = host.config.read_text()
    host.config.write_text(
        text.replace("budget_million_tokens = 100000", "budget_million_tokens = 0.01")
    )
    assert host.vllmd("reload").returncode == 0
    host.wait_state("chat", "ready", BUSY_S)
    pages.until("vllmd_cost_budget_per_million_tokens", 0.01).look(90).only()
    host.config.write_text(text)
    assert host.vllmd("reload").returncode == 0
    host.wait_state("chat", "ready", BUSY_S)


@about("VllmdMetricsDrift")
def test_vllm_that_renamed_a_metric(host: Site, pages: Watched) -> None:
    ask(host, "missing vllm:num_requests_running")
    pages.until("vllmd_vllm_missing_metrics", None).look(20).only()
    ask(host, "missing -")


@about("VllmdPageUnread")
def test_page_that_cannot_be_read(host: Site, pages: Watched) -> None:
    ask(host, "unreadable")
    try:
        pages.until("vllmd_engine_page_up", 0).look(15).only()
    finally:
        ask(host, "readable")
        pages.until("vllmd_engine_page_up", 1)
