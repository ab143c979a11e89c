"""Hangs of a real CUDA vLLM, and work that looks like one, with the default limits.

The engine takes whole prompts into one step (`max-num-batched-tokens`), so that its steps are as
long as a vLLM's can be.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.hangs import answer_long_prompt, find_hang
from tests.gpu.vllm_engine import CONTEXT, INDEX, GpuSampler, GpuSite, PromptLoad
from tests.helpers.outcomes import Outcome
from tests.helpers.site import wait_for

LONG_LOAD_S = float(os.environ.get("VLLMD_GPU_LOAD_S", "300"))

FAULTS: dict[str, Callable[[GpuSite], AbstractContextManager[None]]] = {
    "EngineCore is stopped": lambda made: made.stopped("chat"),
    "a kernel that spins": lambda made: made.spinning(),
}


@pytest.fixture(scope="module")
def held() -> Iterator[subprocess.Popen[str]]:
    """A process that holds so much memory that the engine has no room."""
    command = [sys.executable, str(Path(__file__).with_name("core.py")), "0.5"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": str(INDEX)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("READY")
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def started(
    tmp_path_factory: pytest.TempPathFactory, held: subprocess.Popen[str]
) -> Iterator[GpuSite]:
    gpu = GpuSite(tmp_path_factory.mktemp("hangs"))
    flags = f"enforce-eager = true\nmax-num-batched-tokens = {CONTEXT}"
    gpu.add("chat", "large", share=0.6, length=CONTEXT, flags=flags)
    with gpu.running():
        yield gpu


@pytest.fixture
def made(started: GpuSite, held: subprocess.Popen[str]) -> GpuSite:
    """The site, once its engine has room and serves."""
    held.kill()
    held.wait()
    started.wait_ready("chat")
    return started


def test_a_start_without_room_waits_and_begins_when_there_is_some(
    started: GpuSite, held: subprocess.Popen[str], outcome: Outcome
) -> None:
    wait_for("the wait", lambda: "waits for GPU memory" in started.site.vllmd("status").stdout)
    time.sleep(5)
    shown = started.site.vllmd("status").stdout + started.site.vllmd("why", "chat").stdout
    assert "engine.spawned" not in started.site.log(), "no load is wasted"
    assert str(held.pid) in shown
    held.kill()
    held.wait()
    began = time.monotonic()
    wait_for("the start", lambda: "engine.spawned" in started.site.log())
    after_s = time.monotonic() - began
    started.wait_ready("chat")
    text = f"waited, naming the process; started {after_s:.1f} s after it ended, and served"
    outcome("a process holds the GPU memory that a start needs", text)
    REPORT.append(f"no room: {text}\n{shown}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hang_is_found_within_a_minute(made: GpuSite, outcome: Outcome, fault: str) -> None:
    text = find_hang(made, "chat", fault, FAULTS[fault](made), GpuSampler(made))
    outcome(fault, text)


def test_a_prompt_of_a_hundred_thousand_tokens_is_no_hang(made: GpuSite, outcome: Outcome) -> None:
    text = answer_long_prompt(made, "chat", GpuSampler(made))
    outcome("a prefill of 100,000 tokens in one step", text)


def test_a_long_full_load_is_no_hang(made: GpuSite, outcome: Outcome) -> None:
    before, count = made.site.engine("chat"), made.stalls("chat")
    load = PromptLoad(made, "chat", clients=200, prompt=6000, tokens=32)
    with GpuSampler(made) as sampler, load:
        time.sleep(LONG_LOAD_S)
    after = made.site.engine("chat")
    assert (load.failed, after["run_id"], made.stalls("chat")) == ([], before["run_id"], count)
    text = f"{load.served} answered in {LONG_LOAD_S:.0f} s ({sampler.text()}), 0 failed, no verdict"
    outcome("200 clients with prompts of 6,000 tokens", text)
    REPORT.append(f"200 x 6,000 tokens: {text}")
