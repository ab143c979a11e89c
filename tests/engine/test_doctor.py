"""What the doctor predicts, held against what a real vLLM reports."""

import json

import pytest

from tests.engine.conftest import REPORT
from tests.helpers.site import Site
from vllmd.config import command
from vllmd.config.load import load
from vllmd.doctor.capacity import tokens_in
from vllmd.doctor.case import Case, HostFacts, read_model
from vllmd.util.units import GIB

SPACE = "VLLM_CPU_KVCACHE_SPACE"
"""What the CPU build has for its KV cache, in GiB: there is no share of a GPU to be predicted."""


def test_tokens_are_those_that_vllm_has_room_for(real: Site) -> None:
    config, _ = load(real.config)
    engine = config.engines["tiny"]
    env = command.build(engine).env
    case = Case(config, engine, env, read_model(engine.model, env), HostFacts())
    model = case.model.architecture
    assert model is not None
    assert case.model.problems == ()
    predicted = tokens_in(int(float(engine.env[SPACE]) * GIB), case.demand, model, 4096)
    said = real.samples("vllmd_engine_kv_cache_tokens")["tiny",]
    REPORT.append(f"doctor: {predicted:,} tokens predicted, vLLM has {said:,.0f}")
    assert predicted == pytest.approx(said, rel=0.05)


def test_an_engine_that_serves_has_no_errors(real: Site) -> None:
    done = real.vllmd("doctor", "--config", str(real.config), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["findings"]
    assert {each["severity"] for each in found} <= {"info", "warning"}
