"""Whether a change that `vllmd advise` names helps a real vLLM under the same load."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.conftest import REPORT
from tests.gpu.vllm_engine import GpuSite, PromptLoad
from vllmd.advise import diff, rules
from vllmd.advise.observed import from_json
from vllmd.config.load import load as load_config
from vllmd.config.model import EngineConfig

FEW = 8
CLIENTS, PROMPT, TOKENS = 48, 400, 96
LOAD_S = 75.0
"""Longer than a minute, so that counters and histograms were looked at."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    """An engine that computes far fewer requests at once than its KV cache holds."""
    gpu = GpuSite(tmp_path_factory.mktemp("advise"))
    gpu.add("chat", "large", share=0.8, length=8192, keys=f"max_num_seqs = {FEW}")
    with gpu.running():
        gpu.wait_ready("chat")
        yield gpu


def measured(made: GpuSite) -> float:
    """Load the engine; return the answers a second."""
    began = time.monotonic()
    with PromptLoad(made, "chat", clients=CLIENTS, prompt=PROMPT, tokens=TOKENS) as load:
        time.sleep(LOAD_S)
    assert load.failed == []
    return load.served / (time.monotonic() - began)


def observed(made: GpuSite) -> dict[str, Any]:
    (engine,) = made.site.control.advise(time.time() - 3600, time.time(), 1.0)["engines"]
    assert isinstance(engine, dict)
    return engine


def configured(path: Path) -> EngineConfig:
    return load_config(path)[0].engines["chat"]


def test_more_at_once_answers_more_in_less_time(
    made: GpuSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour is what a person is told of; here the rule is asked after a minute."""
    assert made.site.vllmd("restart", "chat").returncode == 0  # the first load compiles
    made.wait_ready("chat")
    made.ask("chat")
    before = measured(made)
    told = observed(made)
    assert told["advice"] == [], "too little was seen"
    monkeypatch.setattr(rules, "MIN_WATCHED_S", 30.0)
    path = made.site.config
    case = rules.ObservedEngine(configured(path), from_json(told["observed"]), {}, None, 1.0)
    advice = next(a for a in rules.advise(case) if a.key == (rules.MAX_NUM_SEQS,))
    assert (advice.now, advice.value) == (FEW, 2 * FEW)
    changed = diff.changed(path.read_text(), ("engines", "chat"), advice.key, advice.value)
    assert changed is not None
    path.write_text(changed)
    for command in (["check"], ["reload"], ["restart", "chat"]):
        options = ["-c", str(path)] if command == ["check"] else []
        done = made.site.vllmd(*command, *options)
        assert done.returncode == 0, done.stdout + done.stderr
    made.wait_ready("chat")
    made.ask("chat")
    after = measured(made)
    now = observed(made)
    waited = [from_json(each["observed"]).quantile("queue_s", 0.95) for each in (told, now)]
    REPORT.append(
        f"advise: max_num_seqs {advice.now} to {advice.value}: {before:.1f} to {after:.1f} "
        f"answers/s; 95 % waited less than {waited[0]} and {waited[1]} s"
    )
    REPORT.append(f"advise: why: {advice.why}; effect: {advice.effect}")
    assert after > 1.3 * before
    assert now["other_commands_s"] > 0, "what was seen before is kept apart"
