"""Probes of a real vLLM's answers: 2,000 under CUDA graphs, prefix caching, LoRA and mixed load."""

import asyncio
import contextlib
import itertools
import json
import math
import random
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.test_vllm_preload import FIRST_SEED, write_weights
from tests.gpu.vllm_engine import LARGE, LOAD_S, GpuSite, python
from tests.helpers.outcomes import Outcome
from tests.helpers.site import wait_for
from vllmd.demo import tiny_model
from vllmd.probe.answer import PromptAnswer
from vllmd.probe.asking import Asker, NotAskedError
from vllmd.probe.comparison import compare
from vllmd.probe.judge import TOLERANCE, far, judge, limit_of, most_central, noise_of

SIZES = {**LARGE, "num_hidden_layers": 16, "vocab_size": 320, "tie_word_embeddings": False}
"""A few GB in bfloat16; the vocabulary is that of the tokenizer that is there."""
PROBES = 2000
AT_ONCE = {1: 0.04, 4: 0.16, 16: 0.35, 32: 0.45}
"""Probes at the same time, and their share of all: one after another they take the longest."""
LOADS = {"nothing": (0, 0), "requests": (16, 0), "requests and adapters": (16, 16)}
PREFIX = "The same beginning of many prompts, which is in the prefix cache from the second on. " * 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    """`one` serves a checkpoint with an adapter; its answers are looked at."""
    gpu = GpuSite(tmp_path_factory.mktemp("probe"))
    model = gpu.write_config("weights", SIZES)
    write_weights(model, FIRST_SEED)
    _write_adapter(gpu)
    gpu.add(
        "one",
        "weights",
        share=0.12,
        length=2048,
        load_format="",
        keys="enable_prefix_caching = true",
        more=(
            '\n[engines.one.probe]\non_mismatch = "drain"\n'
            f'[engines.one.lora]\nmax_lora_rank = 8\nmodules = {{ other = "{gpu.folder}/other" }}\n'
        ),
    )
    with gpu.running():
        wait_for("one ready", lambda: gpu.site.engine("one")["state"] == "ready", LOAD_S)
        yield gpu


def _write_adapter(gpu: GpuSite) -> None:
    names = {"LAYERS": "num_hidden_layers", "HIDDEN": "hidden_size", "HEAD_DIM": "head_dim"}
    names |= {"HEADS": "num_attention_heads", "KV_HEADS": "num_key_value_heads"}
    sizes = "; ".join(f"m.{name} = {SIZES[key]}" for name, key in names.items())
    folder = str(tiny_model.__file__).rsplit("/", 1)[0]
    script = (
        f"import sys; sys.path.insert(0, {folder!r}); import tiny_model as m; "
        f"from pathlib import Path; {sizes}; m.write_adapter(Path({str(gpu.folder / 'other')!r}))"
    )
    subprocess.run([python(), "-c", script], check=True)


def probe(gpu: GpuSite, *options: str) -> dict[str, Any]:
    done = gpu.site.vllmd("probe", "one", "--json", *options)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.asynccontextmanager
async def load(client: httpx.AsyncClient, url: str, models: Sequence[str]) -> AsyncIterator[None]:
    """Keep requests in flight: of all lengths, some with a prefix that is cached."""

    async def ask(model: str) -> None:
        while True:
            prefix = PREFIX if random.random() < 0.5 else ""
            body = {
                "model": model,
                "prompt": prefix + secrets.token_hex(random.randint(1, 300)),
                "max_tokens": random.randint(1, 120),
                "temperature": random.choice([0, 1]),
                "ignore_eos": True,
            }
            with contextlib.suppress(httpx.HTTPError):
                await client.post(f"{url}/v1/completions", json=body, timeout=120)

    tasks = [asyncio.create_task(ask(model)) for model in models]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def many(url: str) -> tuple[int, int]:
    """Ask 2,000 probes; each row is reported when it is known.

    Returns: how many were asked, and alarms among them.
    """
    limits = httpx.Limits(max_connections=512)
    asked, alarms = 0, 0
    async with httpx.AsyncClient(trust_env=False, limits=limits) as client:
        asker = Asker(client, url, "one")
        samples = [await asker.ask(together=together) for together in (False, True, True)]
        expected, noise = most_central(samples), noise_of(samples)
        limit = limit_of(TOLERANCE, noise)
        REPORT.append(f"noise when recorded {noise:.4f} nats, limit {limit:.3f}")
        kinds = itertools.product(LOADS.items(), AT_ONCE.items())
        for (name, (base, other)), (at_once, share) in kinds:
            began, seen = time.monotonic(), list[float]()
            left = iter(range(math.ceil(PROBES / len(LOADS) * share)))

            async def ask(left: Iterator[int] = left, seen: list[float] = seen) -> None:
                for number in left:
                    found = await _asked(asker, together=bool(number % 8))
                    judged = judge(expected, found, limit)
                    seen.append(judged.distance)
                    if judged.differs:
                        REPORT.append(judged.text)

            async with load(client, url, ["one"] * base + ["other"] * other):
                await asyncio.gather(*(ask() for _ in range(at_once)))
            wrong = sum(each > limit for each in seen)
            asked, alarms = asked + len(seen), alarms + wrong
            seen.sort()
            REPORT.append(
                f"| beside {name}, {at_once} at a time | {len(seen)} | {wrong} | "
                f"{seen[len(seen) // 2]:.4f} | {seen[-1]:.4f} | {time.monotonic() - began:.0f} s"
            )
        REPORT.append(f"an adapter's answers: {await _adapter(client, url, expected):.2f} nats")
    return asked, alarms


async def _asked(asker: Asker, *, together: bool) -> Sequence[PromptAnswer]:
    """Ask once more where a connection that was kept open was just being closed, as is done."""
    try:
        return await asker.ask(together=together)
    except NotAskedError as error:
        REPORT.append(f"asked again: {error}")
        return await asker.ask(together=together)


async def _adapter(client: httpx.AsyncClient, url: str, expected: Sequence[PromptAnswer]) -> float:
    found = await Asker(client, url, "other").ask()
    return far([compare(a, b) for a, b in zip(expected, found, strict=True)])


def test_sound_engine_gives_no_alarm_whatever_is_computed_beside(
    made: GpuSite, outcome: Outcome
) -> None:
    wait_for("recorded", lambda: made.site.engine("one")["probe"]["verdict"] == "right", 120)
    asked, alarms = asyncio.run(many(made.site.engine("one")["url"]))
    REPORT.append(f"{asked} probes, {alarms} alarms")
    assert alarms == 0
    assert asked >= PROBES
    outcome("2,000 probes under load, CUDA graphs, prefix caching and LoRA", f"{alarms} alarms")


def test_engine_with_other_weights_is_found_after_its_start(
    made: GpuSite, outcome: Outcome
) -> None:
    """One layer's weights are scaled; the files are others, so that it is an alert alone."""
    assert probe(made)["verdict"] == "right"
    folder = made.folder / "models" / "weights"
    _scale(folder / "layer-007.safetensors", 1.5)
    made.site.vllmd("restart", "one", "--wait")
    found = probe(made)
    REPORT.append(f"one of 16 layers scaled by 1.5: {found['verdict']}, {found['found']}")
    assert found["verdict"] == "wrong"
    assert "another files" in found["found"]
    assert made.site.engine("one")["wrong_answers"] is None
    outcome("weights with one layer scaled by 1.5", found["found"])


def _scale(path: Path, by: float) -> None:
    script = (
        "import sys; from safetensors.torch import load_file, save_file\n"
        "path, by = sys.argv[1], float(sys.argv[2]); tensors = load_file(path)\n"
        "tensors = {k: v * by if v.dim() == 2 else v for k, v in tensors.items()}\n"
        "save_file(tensors, path, metadata={'format': 'pt'})\n"
    )
    subprocess.run([python(), "-c", script, str(path), str(by)], check=True)
