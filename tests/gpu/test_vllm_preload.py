"""Weights that outlive a real vLLM: from a death to the first token, memory, retrained models."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.vllm_engine import INDEX, LARGE, LOAD_S, GpuSite, python, version
from tests.helpers.background import Background
from tests.helpers.outcomes import Outcome
from tests.helpers.site import wait_for
from vllmd.config.preload import FIRST_VERSION
from vllmd.shim import proc
from vllmd.util.units import GIB

SIZES = {**LARGE, "num_hidden_layers": 40, "vocab_size": 320}
"""15.5 GB in bfloat16; the vocabulary is that of the tokenizer that is there."""
PROMPT = "the engine st"
"""Shorter than a block of the prefix cache: it is computed in the same way each time."""
FIRST_SEED, RETRAINED_SEED = 1, 2


def gpu_count() -> int:
    said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    return len(re.findall(r"^GPU \d+:", said, re.MULTILINE))


def write_weights(folder: Path, seed: int) -> None:
    """Write the checkpoint of a seed, in place of the one that is there."""
    began = time.monotonic()
    script = Path(__file__).with_name("checkpoint.py")
    command = [python(), str(script), str(folder), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    size = int(done.stdout.split()[-1])
    REPORT.append(f"checkpoint {seed}: {size / GIB:.1f} GiB in {time.monotonic() - began:.0f} s")


@pytest.fixture(scope="module", params=[1, 2], ids=["tp1", "tp2"])
def made(request: pytest.FixtureRequest) -> Iterator[GpuSite]:
    """`kept` has its weights kept, `plain` loads them; both serve the same checkpoint.

    On a host with one GPU there is nothing to run over two of them.
    """
    import tempfile

    ranks: int = request.param
    assert version() >= FIRST_VERSION, f"vLLM {version()} has no 'vllm preload'"
    if ranks > gpu_count():
        REPORT.append(f"preload over {ranks} GPUs: not run, the host has {gpu_count()}")
        pytest.skip(f"{ranks} GPUs are needed, there are {gpu_count()}")
    with tempfile.TemporaryDirectory(prefix="p-", dir="/tmp") as name:  # sockets' paths are short
        gpu = GpuSite(Path(name))
        model = gpu.write_config("weights", {**SIZES, "tie_word_embeddings": False})
        write_weights(model, FIRST_SEED)
        flags = f"enforce-eager = true\ntensor-parallel-size = {ranks}\n"
        flags += "disable-custom-all-reduce = true\n" if ranks > 1 else ""
        gpus = range(ranks) if ranks > 1 else (INDEX,)
        for engine, keys in (("kept", "preload = true"), ("plain", "")):
            gpu.add(
                engine,
                "weights",
                share=0.35,
                length=4096,
                gpus=gpus,
                keys=keys,
                flags=flags,
                load_format="",
            )
        with gpu.running():
            try:
                for engine in ("kept", "plain"):
                    gpu.wait_ready(engine)
                yield gpu
            finally:
                for engine in ("kept", "plain"):
                    log = gpu.folder / "log" / f"{engine}.log"
                    found = [ln for ln in log.read_text().splitlines() if "eight" in ln][-12:]
                    REPORT.append(f"{engine}: " + "\n  ".join(found))
                REPORT.append(gpu.site.vllmd("logs", "kept", "--weights", "-n", "30").stdout)
                REPORT.append(gpu.site.vllmd("status", "kept").stdout)


def ranks_of(made: GpuSite) -> int:
    found: int = weights(made)["ranks"]
    return found


def weights(made: GpuSite) -> dict[str, Any]:
    found: dict[str, Any] = made.site.engine("kept")["weights"]
    return found


def signature(made: GpuSite, name: str) -> tuple[str, float]:
    """Return a greedy answer and the log-probability of its first token: a checkpoint's own."""
    answer = made.client(name).completions.create(
        model=name, prompt=PROMPT, max_tokens=12, temperature=0, logprobs=1
    )
    (choice,) = answer.choices
    assert choice.logprobs is not None
    assert choice.logprobs.token_logprobs is not None
    return choice.text, round(choice.logprobs.token_logprobs[0] or 0.0, 2)


def held(made: GpuSite) -> dict[str, int]:
    """Return the bytes of each owner on all GPUs; engines and weights by name."""
    found: dict[str, int] = {}
    for gpu in made.site.control.gpus()["gpus"]:
        for each in gpu["owners"]:
            key = " ".join(filter(None, (each["owner"], each["engine"])))
            found[key] = found.get(key, 0) + each["bytes"]
    return found


class Memory(Background):
    """Who holds memory, a few times a second."""

    def __init__(self, made: GpuSite) -> None:
        self.samples: list[dict[str, int]] = []
        self._made = made
        super().__init__([self._sample])

    def _sample(self) -> None:
        self.samples.append(held(self._made))
        time.sleep(0.3)


def text_of(bytes_by_owner: dict[str, int]) -> str:
    named = {k: v for k, v in bytes_by_owner.items() if v and k.split()[0] not in ("free",)}
    return ", ".join(f"{name} {size / GIB:.1f} GiB" for name, size in named.items())


def first_token_after_kill(made: GpuSite, name: str) -> float:
    """Kill the core of an engine; returns seconds until it answers a token again."""
    before = made.site.engine(name)
    core = made.process(name, "VLLM::EngineCore")
    began = time.monotonic()
    os.kill(core, signal.SIGKILL)
    made.site.wait_new_run(name, before, LOAD_S)

    def answered() -> bool:
        try:
            return made.ask(name, tokens=1) == 1
        except (openai.OpenAIError, httpx.HTTPError):
            return False

    wait_for(f"a token of {name}", answered, LOAD_S)
    return time.monotonic() - began


def phases(made: GpuSite, name: str) -> str:
    found = made.site.samples("vllmd_engine_start_phase_seconds")
    return ", ".join(f"{key[0]} {value:.1f}" for key, value in found.items() if key[1] == name)


def mapped(made: GpuSite) -> list[str]:
    log = (made.folder / "log" / "kept.log").read_text()
    return re.findall(r"Mapped \d+ tensors from the weight cache daemon|falling back to disk", log)


def events(made: GpuSite, name: str) -> list[dict[str, Any]]:
    said = made.site.vllmd(
        "events", "kept", "--json", "--name", name, "-c", str(made.site.config)
    ).stdout
    return [json.loads(line)["fields"] for line in said.splitlines()]


def test_engine_maps_what_is_kept_and_memory_has_its_owner(made: GpuSite, outcome: Outcome) -> None:
    found = weights(made)
    assert (found["state"], found["ranks_ready"]) == ("ready", ranks_of(made))
    assert mapped(made) == ["Mapped " + mapped(made)[0].split(" ", 1)[1]] * ranks_of(made)
    owners = held(made)
    assert owners["weights kept"] > 14 * GIB
    shim = made.site.engine("kept")["weights"]["shim_pid"]
    pids = {stat.pid for stat in proc.descendants(shim)}
    processes = [p for g in made.site.control.gpus()["gpus"] for p in g["processes"]]
    of_weights = {each["pid"] for each in processes if each["owner"] == "weights"}
    assert of_weights
    assert of_weights <= pids
    assert signature(made, "kept") == signature(made, "plain")
    outcome(f"weights kept by vllm preload, {ranks_of(made)} GPUs", text_of(owners))
    REPORT.append(f"owners with all up: {text_of(owners)}")


def test_kill_of_the_engine_leaves_the_weights(made: GpuSite, outcome: Outcome) -> None:
    kept, before, answer = weights(made), held(made), signature(made, "kept")
    with Memory(made) as memory:
        kept_s = first_token_after_kill(made, "kept")
    read = [each for each in memory.samples if each.get("weights kept")]
    without = min(read, key=lambda each: each.get("engine kept", 0))
    plain_s = first_token_after_kill(made, "plain")
    after = held(made)
    assert weights(made)["run_id"] == kept["run_id"]
    assert without.get("engine kept", 0) < before["engine kept"] / 2
    assert abs(without["weights kept"] - before["weights kept"]) < GIB
    assert signature(made, "kept") == answer
    assert "falling back to disk" not in mapped(made)
    text = (
        f"first token {kept_s:.1f} s after the kill, {plain_s:.1f} s without preload (files in the "
        f"page cache); before: {text_of(before)}; between: {text_of(without)}; "
        f"after: {text_of(after)}"
    )
    outcome(f"kill -9 of the EngineCore, weights kept, {ranks_of(made)} GPUs", text)
    REPORT.append(text)
    REPORT.append(f"phases of kept: {phases(made, 'kept')}; of plain: {phases(made, 'plain')}")


def test_retrained_checkpoint_of_the_same_shapes_is_served_anew(
    made: GpuSite, outcome: Outcome
) -> None:
    kept, old = weights(made), signature(made, "kept")
    write_weights(made.folder / "models" / "weights", RETRAINED_SEED)
    seconds = first_token_after_kill(made, "kept")
    assert weights(made)["run_id"] != kept["run_id"]
    (renewed,) = events(made, "weights.renewed")
    first_token_after_kill(made, "plain")
    new = signature(made, "kept")
    assert new != old
    assert new == signature(made, "plain")
    text = f"weights renewed ({renewed['why']}), first token after {seconds:.1f} s"
    outcome(f"retrained checkpoint of the same shapes, {ranks_of(made)} GPUs", text)
    REPORT.append(text)


def test_death_of_the_weights_lets_the_engine_serve_on(made: GpuSite, outcome: Outcome) -> None:
    before, answer, shim = made.site.engine("kept"), signature(made, "kept"), weights(made)
    assert shim["shim_pid"]
    for stat in proc.descendants(shim["shim_pid"]):
        os.kill(stat.pid, signal.SIGKILL)
    wait_for("absent", lambda: weights(made)["state"] == "absent")
    time.sleep(2)
    between = held(made)
    assert signature(made, "kept") == answer, "mapped memory stays although its owner is gone"
    assert made.ask("kept", 200, 100) == 100
    assert made.site.engine("kept")["run_id"] == before["run_id"]
    ended = events(made, "weights.ended")[-1]
    text = f"told ({ended['code']}), the engine serves on; then: {text_of(between)}"
    outcome(f"kill -9 of what keeps the weights, {ranks_of(made)} GPUs", text)
    REPORT.append(text)
    seconds = first_token_after_kill(made, "kept")
    assert weights(made)["state"] == "ready"
    REPORT.append(f"the next start loaded them anew: first token after {seconds:.1f} s")


def test_stop_gives_all_memory_back(made: GpuSite, outcome: Outcome) -> None:
    assert made.site.vllmd("stop", "kept", "--keep-weights").returncode == 0
    assert held(made)["weights kept"] > 14 * GIB
    assert made.site.vllmd("start", "kept", "--wait").returncode == 0
    began = time.monotonic()
    done = made.site.vllmd("stop", "kept")
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - began
    (released,) = events(made, "weights.released")[-1:]
    assert released["in_the_way"] == []
    left = held(made)
    assert not left.get("weights kept")
    assert not left.get("engine kept")
    outcome(
        f"stop of an engine whose weights are kept, {ranks_of(made)} GPUs",
        f"all memory is back after {seconds:.1f} s: {text_of(left)}",
    )
    assert made.site.vllmd("start", "kept", "--wait").returncode == 0
