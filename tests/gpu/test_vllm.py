"""A real CUDA vLLM under vllmd: starts, memory by owner, deaths, stops."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.vllm_engine import INDEX, LOAD_S, GpuSite, PromptLoad
from tests.helpers.outcomes import Outcome
from tests.helpers.site import wait_for

MIB = 1024**2
LORA = '[engines.chat.lora]\nmax_lora_rank = 8\nmodules = {{ domain = "{}" }}\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    """`chat` has graphs and an adapter; `other` serves beside it and is asked all the time."""
    gpu = GpuSite(tmp_path_factory.mktemp("vllm"))
    eager = "enforce-eager = true"
    adapter = LORA.format(gpu.folder / "models" / "lora")
    gpu.add("other", "small", share=0.12, length=4096, flags=eager)
    gpu.add("chat", "large", share=0.5, length=32768, more=adapter)
    off = "autostart = false"
    gpu.add("long", "large", share=0.3, length=999_999, keys=off, flags=eager)
    gpu.add("kv", "large", share=0.13, length=131_072, keys=off, flags=eager)
    with gpu.running():
        for name in ("other", "chat"):
            gpu.wait_ready(name)
        with PromptLoad(gpu, "other", clients=2, prompt=100, tokens=20) as load:
            yield gpu
        REPORT.append(f"other, asked all the time: {load.served} answered, failed: {load.failed}")
        assert load.failed == [], "what happens to one engine is not seen by another"


def phases(made: GpuSite, name: str) -> str:
    found = made.site.samples("vllmd_engine_start_phase_seconds")
    return ", ".join(f"{k[0]} {v:.1f}" for k, v in found.items() if k[1] == name)


def smi_processes() -> dict[int, int]:
    """Return the bytes of each process as nvidia-smi has them."""
    query = "--query-compute-apps=pid,used_memory"
    command = ["nvidia-smi", f"--id={INDEX}", query, "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(",") for line in said.splitlines()]
    return {int(pid): int(mib) * MIB for pid, mib in rows}


def test_start_has_its_phases_and_memory_is_as_nvidia_smi_has_it(
    made: GpuSite, outcome: Outcome
) -> None:
    gpu = made.gpu()
    held = {each["pid"]: each["bytes"] for each in gpu["processes"]}
    assert sum(each["bytes"] for each in gpu["owners"]) == gpu["values"]["memory_total_bytes"]
    said = smi_processes()
    assert held == said
    started = made.site.samples("vllmd_engine_start_duration_seconds")
    text = f"phases of chat: {phases(made, 'chat')}; starts: {started}"
    outcome("memory by owner beside nvidia-smi's", f"{len(held)} processes equal to the MiB")
    REPORT.append(f"{text}; {made.site.vllmd('gpu').stdout}")
    for name in ("chat", "other"):
        log = made.site.vllmd("logs", name).stdout
        REPORT.append("\n".join(line for line in log.splitlines() if "KV cache size" in line))
    REPORT.append(made.site.vllmd("doctor").stdout)


@pytest.mark.parametrize("victim", ["VLLM::EngineCore", "API server", "shim"])
def test_a_process_that_is_killed_ends_the_whole_and_it_serves_again(
    made: GpuSite, outcome: Outcome, victim: str
) -> None:
    before = made.site.engine("chat")
    tree = list(made.site.tree("chat").values())
    pid = {"API server": before["pid"], "shim": before["shim_pid"]}.get(victim)
    began = time.monotonic()
    os.kill(pid or made.process("chat", victim), signal.SIGKILL)
    after = made.site.wait_new_run("chat", before, LOAD_S)
    cause = after["last_exit"]["diagnosis"]["cause"]
    text = f"{cause}, serving after {time.monotonic() - began:.0f} s"
    assert not {stat.pid for stat in tree} & set(smi_processes())
    assert made.ask("chat", model="domain") == 8, "its adapter is there again"
    outcome(f"kill -9 of the {victim}", text)
    REPORT.append(f"kill -9 of {victim}: {text}; phases: {phases(made, 'chat')}")


def test_kill_of_the_daemon_costs_no_request(made: GpuSite, outcome: Outcome) -> None:
    before = made.site.engine("chat")
    with PromptLoad(made, "chat", clients=32, prompt=200, tokens=100) as load:
        time.sleep(3)
        made.site.kill_daemon()
        time.sleep(2)
        made.site.start()
        began = time.monotonic()
        after = made.site.wait_state("chat", "ready", 60)
        known_s = time.monotonic() - began
        time.sleep(3)
    assert (after["run_id"], load.failed) == (before["run_id"], [])
    text = f"{load.served} requests answered, 0 failed; ready again {known_s:.1f} s after the start"
    outcome("kill -9 of the daemon under load", text)
    REPORT.append(f"kill -9 of the daemon: {text}")


def test_starts_that_cannot_work_are_held_with_their_cause(made: GpuSite, outcome: Outcome) -> None:
    for name, cause in (("long", "context_too_long"), ("kv", "kv_cache_too_small")):
        began = time.monotonic()
        assert made.site.vllmd("start", name).returncode == 0
        held = made.site.wait_state(name, "held", LOAD_S)
        why = made.site.vllmd("why", name).stdout
        diagnosis = held["last_exit"]["diagnosis"]
        text = f"{diagnosis['cause']} after {time.monotonic() - began:.0f} s"
        REPORT.append(f"{name}: {text}\n{json.dumps(diagnosis)[:600]}\n{why}")
        assert diagnosis["cause"] == cause
        outcome(f"a start that cannot work ({cause})", text)
        made.site.vllmd("stop", name)


def test_stop_under_load_answers_what_is_in_flight(made: GpuSite, outcome: Outcome) -> None:
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(made.ask("chat", 200, 400)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    wait_for(
        "eight in flight",
        lambda: sum(made.site.samples("vllmd_requests_running").values()) >= 8,
        60,
    )
    began = time.monotonic()
    assert made.site.vllmd("stop", "chat").returncode == 0
    stopped_s = time.monotonic() - began
    for thread in threads:
        thread.join()
    assert answers == [400] * 8
    gpu = made.gpu()
    left = [each for each in gpu["owners"] if each["owner"] == "engine" and each["bytes"]]
    assert {each.get("engine") for each in left} <= {"other"}
    text = f"8 of 8 answered, stopped after {stopped_s:.1f} s, its memory is back"
    outcome("stop with 8 requests in flight", text)
    REPORT.append(f"stop under load: {text}")
    REPORT.append(made.site.vllmd("cost", "--since", "1h").stdout)
