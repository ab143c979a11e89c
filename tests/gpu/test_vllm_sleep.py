"""A real vLLM that sleeps and wakes: memory before, asleep and after, seconds, and the answers."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.test_vllm_preload import FIRST_SEED, SIZES, signature, write_weights
from tests.gpu.vllm_engine import LOAD_S, GpuSite
from tests.helpers.outcomes import Outcome
from tests.helpers.site import wait_for
from vllmd.util.units import GIB

TURNS = 'share = "gpu0"'
ASLEEP_GIB = 6.0
"""What an engine of 15 GiB may hold asleep: a CUDA context, graphs, what was not in the pool."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    """`one` and `two` each take most of the GPU: only in turns both are there."""
    gpu = GpuSite(tmp_path_factory.mktemp("sleep"))
    model = gpu.write_config("weights", {**SIZES, "tie_word_embeddings": False})
    write_weights(model, FIRST_SEED)
    for name in ("one", "two"):
        gpu.add(
            name,
            "weights",
            share=0.7,
            length=4096,
            load_format="",
            more=f"\n[engines.{name}.sleep]\n{TURNS}\n",
        )
    with gpu.running():
        wait_for("two ready", lambda: gpu.site.engine("two")["state"] == "ready", 2 * LOAD_S)
        yield gpu


def held(made: GpuSite, name: str) -> float:
    """Return what an engine's processes hold of the GPU, in GiB."""
    owners = [each for gpu in made.site.control.gpus()["gpus"] for each in gpu["owners"]]
    mine = [each["bytes"] for each in owners if (each["owner"], each["engine"]) == ("engine", name)]
    return float(sum(mine)) / GIB


def sleep_of(made: GpuSite, name: str) -> dict[str, Any]:
    found: dict[str, Any] = made.site.engine(name)["sleep"]
    return found


def acted(made: GpuSite, action: str, name: str, *options: str) -> float:
    """Run `vllmd sleep` or `wake`; return the seconds that it took."""
    began = time.monotonic()
    done = made.site.vllmd(action, name, *options)
    assert done.returncode == 0, done.stderr + log_of(made, name)[-3000:]
    return time.monotonic() - began


def log_of(made: GpuSite, name: str) -> str:
    return (made.folder / "log" / f"{name}.log").read_text(errors="replace")


def events(made: GpuSite, name: str, event: str) -> list[dict[str, Any]]:
    said = made.site.vllmd("events", "--json", "-c", str(made.site.config), name).stdout
    found = [json.loads(line) for line in said.splitlines()]
    return [each["fields"] for each in found if each["name"] == event]


def test_engines_of_70_percent_each_are_there_in_turns(made: GpuSite, outcome: Outcome) -> None:
    assert made.site.engine("one")["state"] == "sleeping"
    assert sleep_of(made, "one")["held_bytes"] < ASLEEP_GIB * GIB
    answer = signature(made, "two")
    seconds = acted(made, "wake", "one")
    assert made.site.engine("two")["state"] == "sleeping"
    assert signature(made, "one") == answer, "the same model, the same weights"
    slept, woke = events(made, "two", "engine.slept")[-1], events(made, "one", "engine.woke")[-1]
    text = (
        f"wake of one took {seconds:.1f} s in all: two fell asleep in {slept['after_s']:.1f} s "
        f"({slept['held_before_bytes'] / GIB:.1f} -> {slept['held_bytes'] / GIB:.2f} GiB), one "
        f"woke in {woke['after_s']:.1f} s"
    )
    REPORT.append(f"turns: {text}")
    outcome("two engines of 70 % of one GPU each, in turns", text)


@pytest.mark.parametrize("level", [1, 2])
def test_engine_gives_its_memory_back_and_answers_the_same(
    made: GpuSite, outcome: Outcome, level: int
) -> None:
    acted(made, "wake", "one")
    answer, before = signature(made, "one"), held(made, "one")
    asleep_s = acted(made, "sleep", "one", "--level", str(level))
    found = sleep_of(made, "one")
    assert found["refused"] is None
    assert not events(made, "one", "engine.slept")[-1].get("problem")
    asleep = held(made, "one")
    assert asleep < ASLEEP_GIB, f"{before:.1f} GiB before, {asleep:.1f} GiB asleep"
    run = made.site.engine("one")["run_id"]
    wake_s = acted(made, "wake", "one")
    after = held(made, "one")
    assert abs(after - before) < 2
    assert signature(made, "one") == answer, "the weights are those that were there"
    assert made.ask("one", 200, 50) == 50
    assert made.site.engine("one")["run_id"] == run
    woke = events(made, "one", "engine.woke")[-1]
    text = (
        f"{before:.1f} GiB awake, {asleep:.2f} GiB asleep, {after:.1f} GiB after; asleep in "
        f"{asleep_s:.1f} s (with the proof), awake in {woke['after_s']:.2f} s ({wake_s:.1f} s "
        "with the command); same answers"
    )
    REPORT.append(f"level {level}: {text}")
    said = [line for line in log_of(made, "one").splitlines() if "leep" in line or "wake" in line]
    REPORT.extend(f"  log: {line[:160]}" for line in said[-5:])
    outcome(f"sleep at level {level} and wake", text)


@pytest.mark.parametrize("level", [1, 2])
def test_daemon_that_is_killed_in_a_wake_leaves_no_wrong_answers(
    made: GpuSite, outcome: Outcome, level: int
) -> None:
    acted(made, "wake", "one")
    answer = signature(made, "one")
    acted(made, "sleep", "one", "--level", str(level))
    made.site.vllmd("wake", "one", "--no-wait")
    time.sleep(0.3)
    made.site.kill_daemon()
    made.site.start()
    wait_for("one ready", lambda: made.site.engine("one")["state"] == "ready", 300)
    assert signature(made, "one") == answer
    REPORT.append(f"daemon killed in a wake from level {level}: the answers are the same")
    outcome(f"kill -9 of the daemon in a wake from level {level}", "same answers after it")


def test_engine_that_dies_asleep_is_started_and_sleeps_again(
    made: GpuSite, outcome: Outcome
) -> None:
    acted(made, "wake", "one")
    acted(made, "sleep", "one")
    before = made.site.engine("one")
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(
        "another run asleep",
        lambda: (
            made.site.engine("one")["run_id"] not in (None, before["run_id"])
            and made.site.engine("one")["state"] == "sleeping"
        ),
        2 * LOAD_S,
    )
    text = "started again, and put to sleep again"
    REPORT.append(f"kill -9 asleep: {text}")
    outcome("kill -9 of an engine that sleeps", text)
