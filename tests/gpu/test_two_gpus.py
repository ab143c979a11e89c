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

from tests.gpu.confined import NOBODY
from tests.gpu.conftest import REPORT
from tests.gpu.hangs import answer_long_prompt, find_hang
from tests.gpu.vllm_engine import CONTEXT, LOAD_S, GpuSampler, GpuSite, PromptLoad, program
from tests.helpers.outcomes import Outcome

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
        f"tensor-parallel-size = 2\nenforce-eager = true\nmax-num-batched-tokens = {CONTEXT}\n"
        "disable-custom-all-reduce = true\n"
    )
    gpu.add("other", "small", share=0.12, length=4096, gpus=[0], flags="enforce-eager = true")
    gpu.add("pair", "large", share=0.35, length=CONTEXT, gpus=[0, 1], flags=flags)
    gpu.add(
        "rights",
        "large",
        share=0.3,
        length=CONTEXT,
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

    What it has to read below `folder` others may read then; its home is a folder of its own, and
    it is given the folder of its sockets, as systemd gives the unit's user its own.
    """
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    made = folder / "vllm"
    command = shlex.join([sys.executable, str(CONFINED), "engine", program()])
    made.write_text(
        f"#!/bin/sh\nexport HOME={shlex.quote(str(home))}\n"
        f'chown {NOBODY} "$VLLM_RPC_BASE_PATH"; at=$VLLM_RPC_BASE_PATH\n'
        f'while [ "$at" != {shlex.quote(str(folder))} ]; do at=${{at%/*}}; chmod a+x "$at"; done\n'
        f'exec {command} "$@"\n'
    )
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
    text = answer_long_prompt(made, "pair", *both(made))
    outcome("a prefill of 100,000 tokens over two GPUs", text)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hang_of_one_rank_is_found_within_a_minute(
    made: GpuSite, outcome: Outcome, fault: str
) -> None:
    made.site.wait_state("pair", "ready", LOAD_S)
    beside = made.site.engine("other")
    text = find_hang(made, "pair", fault, FAULTS[fault](made), *both(made))
    assert made.site.engine("other")["run_id"] == beside["run_id"]
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
