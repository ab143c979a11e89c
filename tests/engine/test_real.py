"""The main job on a real vLLM. The tests run in this order and share one engine."""

import gzip
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.engine.conftest import LOAD_S, REPORT
from tests.helpers.outcomes import Outcome, outcome_for
from tests.helpers.prometheus import Prometheus
from tests.helpers.real import shared_memory
from tests.helpers.site import Load, Site, gone, needs
from vllmd.demo.families import ROWS

MODELS = ["tiny", "domain"]


@pytest.mark.parametrize("model", MODELS)
def test_chat_with_the_openai_sdk(real: Site, model: str) -> None:
    answer = real.client().chat.completions.create(
        model=model, max_tokens=8, messages=[{"role": "user", "content": "hello"}]
    )
    assert answer.model == model
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_chat_with_curl(real: Site, model: str) -> None:
    needs("curl")
    body = {"model": model, "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
    result = subprocess.run(
        [
            *("curl", "-sS", "--fail-with-body", f"{real.api}/v1/chat/completions"),
            *("-H", "Content-Type: application/json", "-d", json.dumps(body)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(result.stdout)["model"] == model


def test_adapter_answers_differently_from_the_base_model(real: Site) -> None:
    def text(model: str) -> str:
        answer = real.client().completions.create(
            model=model, prompt="The quick brown fox", max_tokens=16, temperature=0
        )
        return answer.choices[0].text

    assert text("tiny") == text("tiny")
    assert text("tiny") != text("domain")


def test_page_passes_the_real_families_on(real: Site, stored: Prometheus) -> None:
    stored.wait_scrapes(2)
    assert stored.target_error() == ""
    label = '{vllmd_engine="tiny",model_name="tiny",engine="0"}'
    assert stored.value("vllmd_engine_up") == 1
    assert (stored.value(f"vllm:generation_tokens_total{label}") or 0) > 0
    assert (stored.value(f"vllm:iteration_tokens_total_count{label}") or 0) > 0
    assert (stored.value("vllmd_engine_start_duration_seconds") or 0) > 1
    assert stored.value("vllmd_engine_processes") == len(real.tree("tiny"))
    assert (stored.value("vllmd_engine_memory_resident_bytes") or 0) > 500e6
    assert stored.query("vllm:lora_requests_info") == []
    assert stored.query('{__name__=~".*_created"}') == []


def test_log_is_read_by_process_level_and_time(real: Site) -> None:
    shown = real.vllmd("logs", "tiny", "--all", "--json").stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    assert {"APIServer", "EngineCore"} <= {line["process"] for line in lines}
    assert {"info", "warning"} <= {line["level"] for line in lines}
    arrivals = [line["at"] for line in lines]
    assert arrivals == sorted(arrivals)
    assert real.engine("tiny")["started_at"] - 1 <= arrivals[-1] <= time.time()
    assert not [line for line in lines if "\r" in line["text"] or "\x1b" in line["text"]]
    core = real.vllmd("logs", "tiny", "--all", "--process", "EngineCore").stdout
    assert "Initializing a V1 LLM engine" in core
    assert "(APIServer" not in core


def test_stand_in_has_the_families_of_this_vllm(real: Site) -> None:
    """Where the stand-in and the real part differ, the stand-in is wrong."""
    page = httpx.get(f"{real.api}/metrics", trust_env=False).text
    types = dict(line.split()[2:4] for line in page.splitlines() if line.startswith("# TYPE"))
    passed = {name: kind for name, kind in types.items() if name.startswith(("vllm:", "http_"))}
    assert {row.name: row.type for row in ROWS if row.name in passed} == passed


def test_processes_are_those_that_we_know(real: Site) -> None:
    titles = sorted(title.split(" (")[0] for title in real.tree("tiny"))
    assert any(title.startswith("VLLM::EngineCore") for title in titles)
    assert any(" serve " in title for title in titles)


def test_phases_of_the_start_were_seen(real: Site) -> None:
    log = real.log()
    for phase in ("init", "weights", "kv_cache"):
        assert f"phase={phase}" in log


CAUSE_OF = {
    "server": "killed",
    "VLLM::EngineCore": "engine_core_died",
    "VLLM::Worker": "worker_died",
}


@pytest.mark.parametrize("title", CAUSE_OF)
def test_kill_is_followed_by_a_serving_engine_and_no_orphan(
    real: Site,
    stored: Prometheus,
    title: str,
    outcome: Outcome,
    request: pytest.FixtureRequest,
) -> None:
    before, old = real.engine("tiny"), list(real.tree("tiny").values())
    stored.wait_scrapes(2)
    victims = [s for t, s in real.tree("tiny").items() if t.startswith(title)]
    if title == "server":
        victims = [s for s in old if s.pid == before["pid"]]
    if not victims:
        pytest.skip("this platform has no worker process (tensor parallel size 1 on CUDA)")
    killed_at, started = time.time(), time.monotonic()
    os.kill(victims[0].pid, signal.SIGKILL)
    after = real.wait_new_run("tiny", before, LOAD_S)
    assert gone(*old)
    cause = after["last_exit"]["diagnosis"]["cause"]
    assert cause == CAUSE_OF[title]
    said = " ".join(real.vllmd("why", "tiny").stdout.split())
    for part in ("tiny failed", f"(cause: {cause})", "serves again since", "Next "):
        assert part in said, said
    incident = Path(after["last_exit"]["incident"])
    code = "137" if title == "server" else "0"
    log = str(incident / "last-lines.log")
    offline = real.vllmd("why", "--log", log, "--exit-code", code, "--json")
    assert json.loads(offline.stdout)["cause"] == cause
    assert (
        "vllm:num_requests_running{"
        in gzip.decompress((incident / "metrics.txt.gz").read_bytes()).decode()
    )
    shown = said.replace(str(real.folder / "state"), "/var/lib/vllmd")
    outcome_for("why", request)(f"kill -9 of {title}", shown)
    assert real.chat("domain") is not None
    stored.wait_scrapes(2)
    up = [v for _, v in stored.history("vllmd_engine_up", killed_at - 2, time.time())]
    during = [v for _, v in stored.history("vllm:num_requests_running", killed_at, time.time())]
    assert up[0] == 1
    assert 0 in up
    assert up[-1] == 1
    assert 0 < len(during) < len(up), "vLLM's families must be absent while it is away"
    name = {"server": "the API server"}.get(title, title.removeprefix("VLLM::"))
    outcome(
        f"kill -9 of {name}",
        f"exit {after['last_exit']['label']}, cause {cause}, "
        f"{len(after['last_exit']['killed'])} process killed after it, serving again",
    )
    REPORT.append(f"vllmd why: {said}")
    REPORT.append(
        f"kill -9 of {title}: code {after['last_exit']['label']}, cause {cause}, killed "
        f"{after['last_exit']['killed']}, serving again after {time.monotonic() - started:.0f} s; "
        f"up as Prometheus stored it, a second apart: {_runs(up)}"
    )


def _runs(values: list[float]) -> str:
    """Write 1 1 1 0 0 1 as ``1*3 0*2 1*1``."""
    runs: list[tuple[float, int]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    return " ".join(f"{value:g}*{count}" for value, count in runs)


def test_kill_of_the_daemon_fails_no_request(real: Site, outcome: Outcome) -> None:
    before = real.engine("tiny")
    with Load(real, clients=2, tokens=32) as load:
        time.sleep(1)
        real.kill_daemon()
        time.sleep(2)
        started = time.monotonic()
        real.start()
        after = real.wait_state("tiny", "ready")
        adopted_s = time.monotonic() - started
    assert load.failed == []
    assert load.served > 0
    assert (after["pid"], after["run_id"], after["adopted"]) == (
        before["pid"],
        before["run_id"],
        True,
    )
    outcome(
        "kill -9 of the daemon under load",
        f"{load.served} requests, {len(load.failed)} failed; adopted by the next daemon within "
        f"{adopted_s:.1f} s",
    )
    REPORT.append(
        f"kill -9 of the daemon under load: {load.served} requests served, "
        f"{len(load.failed)} failed; "
        f"the engine is ready under the new daemon after {adopted_s:.1f} s"
    )


def test_hung_core_keeps_health_green(real: Site) -> None:
    """The fact that the stand-in's hang stands for."""
    core = real.process("tiny", "VLLM::EngineCore")
    os.kill(core.pid, signal.SIGSTOP)
    try:
        assert httpx.get(f"{real.api}/health", trust_env=False).status_code == 200
    finally:
        os.kill(core.pid, signal.SIGCONT)
    assert real.chat("tiny") is not None


def test_end_of_the_daemon_leaves_nothing(real: Site) -> None:
    """Comes last in the tier: it stops the site (conftest.py)."""
    old = list(real.tree("tiny").values())
    shm = shared_memory()
    started = time.monotonic()
    assert real.stop() == 0
    assert gone(*old)
    assert shared_memory() <= shm
    assert "requested=true" in real.log()
    REPORT.append(f"Ctrl-C to nothing left: {time.monotonic() - started:.1f} s")
