"""Adapters of a real vLLM: loaded and removed while it serves, and right again after its death."""

import array
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.engine.conftest import LOAD_S, REPORT
from tests.helpers.real import program_and_model
from tests.helpers.site import Site, wait_for
from vllmd.demo.adapter import write_adapter


@pytest.fixture(scope="module")
def adapter() -> Path:
    """The folder of the tiny model's own adapter."""
    return program_and_model()[1] / "lora"


@pytest.fixture(autouse=True)
def as_before(real: Site) -> Iterator[None]:
    """Begin with an engine that serves, and leave no adapter behind that a test added."""
    real.wait_state("tiny", "ready", LOAD_S)
    yield
    for name, each in adapters(real).items():
        if each["source"] == "command":
            assert real.vllmd("lora", "remove", name).returncode == 0


def adapters(site: Site) -> dict[str, dict[str, Any]]:
    return {adapter["name"]: adapter for adapter in site.control.adapters()[0]["adapters"]}


def models(site: Site) -> set[str]:
    return {model.id for model in site.client().models.list()}


def answer(site: Site, model: str) -> str:
    text = "The quick brown fox jumps over the lazy dog. " * 4
    done = site.client().completions.create(
        model=model, prompt=text, max_tokens=16, temperature=0, extra_body={"ignore_eos": True}
    )
    return done.choices[0].text


def printed(site: Site) -> str:
    return Path(site.engine("tiny")["log"]).read_text()


def altered(source: Path, folder: Path, shift: int) -> Path:
    """Copy an adapter, its weights moved on by so many: another adapter of the same shape."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    path = folder / "adapter_model.safetensors"
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    weights = array.array("f", content[begin:])
    path.write_bytes(content[:begin] + (weights[shift:] + weights[:shift]).tobytes())
    return folder


def test_two_adapters_one_removed_and_both_states_right_after_a_death(
    real: Site, adapter: Path
) -> None:
    for name, shift in (("second", 7), ("third", 300)):
        folder = altered(adapter, real.folder / name, shift)
        added = real.vllmd("lora", "add", name, str(folder))
        assert added.returncode == 0, added.stderr
    answers = {name: answer(real, name) for name in ("tiny", "domain", "second", "third")}
    assert len(set(answers.values())) == 4
    assert real.vllmd("lora", "remove", "third").returncode == 0
    with pytest.raises(openai.NotFoundError):
        answer(real, "third")
    before = real.engine("tiny")
    os.kill(real.process("tiny", "VLLM::EngineCore").pid, signal.SIGKILL)
    real.wait_new_run("tiny", before, LOAD_S)
    assert models(real) == {"tiny", "domain", "second"}
    for name in ("tiny", "domain", "second"):
        assert answer(real, name) == answers[name]
    took = real.samples("vllmd_lora_load_duration_seconds")
    shown = ", ".join(f"{name} {seconds * 1000:.0f} ms" for (name, _), seconds in took.items())
    REPORT.append(f"adapters loaded at run time: {shown}; right again after the engine's death")


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"rank": 16}, "its rank 16 is above max_lora_rank 8"),
        ({"inputs": 256}, "another base model"),
        ({"use_dora": True}, "does not support DoRA"),
    ],
)
def test_a_wrong_adapter_is_refused_at_once_and_the_engine_is_untouched(
    real: Site, about: dict[str, Any], words: str
) -> None:
    before = real.engine("tiny")
    folder, lines = write_adapter(real.folder / "wrong", **about), len(printed(real))
    began = time.monotonic()
    refused = real.vllmd("lora", "add", "wrong", str(folder))
    took_s = time.monotonic() - began
    assert refused.returncode == 1
    assert words in refused.stderr
    assert real.engine("tiny")["run_id"] == before["run_id"]
    assert "load_lora_adapter" not in printed(real)[lines:]
    REPORT.append(f"refused in {took_s * 1000:.0f} ms: {refused.stderr.strip()}")


def test_what_only_vllm_can_tell_is_told_in_its_words_and_it_serves_on(real: Site) -> None:
    folder = write_adapter(real.folder / "odd", rank=8, modules=["no_such_proj"])
    refused = real.vllmd("lora", "add", "odd", str(folder))
    assert refused.returncode == 1
    assert "no_such_proj" in refused.stderr
    assert adapters(real)["odd"]["condition"] == "failed"
    assert answer(real, "domain")
    assert real.samples("vllmd_lora_adapter_loaded")["odd", "tiny"] == 0


def test_weights_that_changed_are_served_after_a_reload_and_no_cache_of_the_old(
    real: Site, adapter: Path
) -> None:
    folder = altered(adapter, real.folder / "live", 7)
    assert real.vllmd("lora", "add", "live", str(folder)).returncode == 0
    old = answer(real, "live")
    assert answer(real, "live") == old
    altered(adapter, folder, 300)
    reloaded = real.vllmd("lora", "reload", "live")
    assert reloaded.returncode == 0, reloaded.stderr
    other = altered(adapter, real.folder / "other", 300)
    assert real.vllmd("lora", "add", "other", str(other)).returncode == 0
    assert answer(real, "live") == answer(real, "other") != old


def test_what_is_changed_behind_us_is_mended(real: Site) -> None:
    client = real.client()
    client.post("/unload_lora_adapter", cast_to=str, body={"lora_name": "domain"})
    wait_for("the adapter", lambda: "domain" in models(real), 30)
    changed = [
        event["fields"]["change"]
        for event in map(json.loads, real.vllmd("events", "--json").stdout.splitlines())
        if event["name"] == "lora.changed_elsewhere"
    ]
    assert changed[-1] == "unloaded by another client"
