"""A real CUDA vLLM over two GPUs of one host (tensor parallel), beside an engine on one of them."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.vllm_engine import LOAD_S, GpuSampler, GpuSite, PromptLoad, program
from tests.helpers.outcomes import Outcome
from tests.helpers.site import wait_for

VERDICT_S = 60.0
LEARNED_S = 20.0
LENGTH = 131_072
CONFINED = Path(__file__).with_name("confined.py")

FAULTS: dict[str, Callable[[GpuSite], AbstractContextManager[None]]] = {
    "a worker of two is stopped": lambda made: made.stopped("pair", "VLLM::Worker_TP1"),
    "a kernel that spins on one of two GPUs": lambda made: made.spinning(1),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    """`pair` is on both GPUs, `other` on the first, asked now and then; `rights` is not started."""
    folder = tmp_path_factory.mktemp("two")
    gpu = GpuSite(folder)
    flags = (
        f"tensor-parallel-size = 2\nenforce-eager = true\nmax-num-batched-tokens = {LENGTH}\n"
        "disable-custom-all-reduce = true\n"
    )
    gpu.add("other", "small", share=0.12, length=4096, gpus=[0], flags="enforce-eager = true")
    gpu.add("pair", "large", share=0.35, length=LENGTH, gpus=[0, 1], flags=flags)
    gpu.add(
        "rights",
        "large",
        share=0.3,
        length=LENGTH,
        gpus=[0, 1],
        executable=str(with_an_engines_rights(folder)),
        keys="autostart = false",
        flags=flags,
    )
    with gpu.running():
        for name in ("other", "pair"):
            gpu.wait_ready(name)
        with PromptLoad(gpu, "other", clients=1, prompt=20, tokens=4, pause_s=3) as load:
            yield gpu
        REPORT.append(f"other, asked all the time: {load.served} answered, failed: {load.failed}")
        assert load.failed == [], "what happens to one engine is not seen by another"


def with_an_engines_rights(folder: Path) -> Path:
    """Write a program that is vLLM with the rights of the engine's unit: another user's, its calls.

    What it has to read below `folder` others may read then; its home is a folder of its own.
    """
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    made = folder / "vllm"
    command = shlex.join([sys.executable, str(CONFINED), "engine", program()])
    made.write_text(f'#!/bin/sh\nexport HOME={shlex.quote(str(home))}\nexec {command} "$@"\n')
    made.chmod(0o755)
    return made


def both(made: GpuSite) -> tuple[GpuSampler, GpuSampler]:
    return GpuSampler(made, 0), GpuSampler(made, 1)


def test_a_worker_that_is_killed_ends_the_whole_and_it_serves_again(
    made: GpuSite, outcome: Outcome
) -> None:
    before, beside = made.site.engine("pair"), made.site.engine("other")
    began = time.monotonic()
    os.kill(made.process("pair", "VLLM::Worker_TP1"), signal.SIGKILL)
    after = made.site.wait_new_run("pair", before, LOAD_S)
    text = (
        f"{after['last_exit']['diagnosis']['cause']}, serving again after "
        f"{time.monotonic() - began:.0f} s"
    )
    assert made.site.engine("other")["run_id"] == beside["run_id"]
    assert made.ask("pair") == 8
    outcome("kill -9 of a worker of two (tensor parallel)", text)
    REPORT.append(f"kill -9 of Worker_TP1: {text}\n{made.site.vllmd('why', 'pair').stdout}")


def test_a_prompt_of_a_hundred_thousand_tokens_is_no_hang(made: GpuSite, outcome: Outcome) -> None:
    before, count = made.site.engine("pair"), made.stalls("pair")
    began = time.monotonic()
    first, second = both(made)
    with first, second:
        made.ask("pair", prompt=100_000, tokens=4)
    after = made.site.engine("pair")
    assert (after["run_id"], made.stalls("pair")) == (before["run_id"], count)
    text = f"answered after {time.monotonic() - began:.0f} s ({first.text()}), no verdict"
    outcome("a prefill of 100,000 tokens over two GPUs", text)
    REPORT.append(f"100,000 tokens: {text}; the second: {second.text()}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hang_of_one_rank_is_found_within_a_minute(
    made: GpuSite, outcome: Outcome, fault: str
) -> None:
    made.site.wait_state("pair", "ready", LOAD_S)
    before, count = made.site.engine("pair"), made.stalls("pair")
    beside = made.site.engine("other")
    first, second = both(made)
    with PromptLoad(made, "pair", clients=16, prompt=500, tokens=200):
        time.sleep(LEARNED_S)
        began = time.monotonic()
        with FAULTS[fault](made), first, second:
            time.sleep(20)
            shown = made.site.vllmd("status").stdout
            REPORT.append(f"{fault}, after 20 s: {first.text()}; {second.text()}\n{shown}")
            assert "no step" in shown, "the fault has not landed"
            wait_for("stalled", lambda: made.stalls("pair") > count, 1.5 * VERDICT_S)
            found_s = time.monotonic() - began
        after = made.site.wait_new_run("pair", before, LOAD_S)
        serving_s = time.monotonic() - began
    why = made.site.vllmd("why", "pair").stdout
    text = (
        f"found after {found_s:.0f} s (first GPU {first.text()}; second {second.text()}), "
        f"serving again after {serving_s:.0f} s"
    )
    REPORT.append(f"{fault}: {text}\n{why}")
    assert after["last_exit"]["diagnosis"]["cause"] == "stalled"
    assert made.site.engine("other")["run_id"] == beside["run_id"]
    assert found_s <= VERDICT_S
    outcome(fault, text)


def test_it_serves_with_the_rights_of_the_engines_unit(made: GpuSite, outcome: Outcome) -> None:
    assert made.site.vllmd("stop", "pair").returncode == 0
    began = time.monotonic()
    assert made.site.vllmd("start", "rights").returncode == 0
    made.wait_ready("rights")
    assert made.ask("rights", prompt=500) == 8
    text = f"serving after {time.monotonic() - began:.0f} s"
    outcome("tensor parallel under the engine unit's system calls", text)
    REPORT.append(f"under the unit's system calls: {text}")
    made.site.vllmd("stop", "rights")
