"""Types, quantizations and attention against a compute capability."""

from typing import Any

import pytest

from tests.helpers.doctor import case, m8b
from vllmd.doctor.checks.compute import compute_capability
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.doctor.seen import GpuFacts
from vllmd.installing.layout import InstallRecord
from vllmd.util.units import GIB

CPU = InstallRecord("0.32.0+cpu", "0.32.0", "2.13.0", None, "3.12", "/e/bin/vllm", 1.0)


def found(engine: str, has: Any, env: dict[str, str] | None = None, **config: Any) -> list[Finding]:
    gpus = (GpuFacts(80 * GIB, 0, 80 * GIB, has),)
    return list(compute_capability(case(engine, model=m8b(**config), gpus=gpus, env=env)))


FP8 = {"quantization_config": {"quant_method": "fp8"}}


@pytest.mark.parametrize(
    ("engine", "has", "config", "fix"),
    [
        ('flags = { dtype = "bfloat16" }', (7, 5), {}, 'dtype = "half"'),
        ('flags = { dtype = "bfloat16" }', (7, 5), {"model_type": "gemma2"}, 'dtype = "float32"'),
        ('flags = { dtype = "half" }', (8, 0), {"model_type": "gemma2"}, 'dtype = "bfloat16"'),
        ('flags = { dtype = "half" }', (7, 5), {"model_type": "gemma2"}, 'dtype = "float32"'),
        ('flags = { kv-cache-dtype = "fp8" }', (7, 5), {}, 'kv-cache-dtype = "auto"'),
        (
            'flags = { kv-cache-dtype = "fp8", attention-backend = "TRITON_ATTN" }',
            (8, 6),
            {},
            'kv-cache-dtype = "auto"',
        ),
        ('flags = { kv-cache-dtype = "bfloat16" }', (7, 5), {}, 'kv-cache-dtype = "float16"'),
        ("", (7, 0), FP8, "one in GPTQ"),
        ('quantization = "fp8"', (7, 0), {}, 'quantization = "fp8"'),
        ('flags = { attention-backend = "FLASH_ATTN" }', (7, 5), {}, "flags.attention-backend out"),
    ],
)
def test_what_the_gpu_cannot_is_an_error_with_the_fix(
    engine: str, has: Any, config: dict[str, Any], fix: str
) -> None:
    (finding,) = found(engine, has, **config)
    assert finding.severity is FindingSeverity.ERROR
    assert fix in finding.fix


def test_a_flag_is_set_in_the_engines_table() -> None:
    (finding,) = found('flags = { dtype = "bfloat16" }', (7, 5))
    assert finding.fix == 'Set in [engines.chat.flags]: dtype = "half"'


@pytest.mark.parametrize(
    ("has", "config", "name"),
    [
        ((8, 0), FP8, "FP8"),
        ((9, 0), {"quantization_config": {"quant_method": "mxfp4"}}, "FP4"),
    ],
)
def test_weights_that_are_unpacked_are_worth_to_know(
    has: Any, config: dict[str, Any], name: str
) -> None:
    (finding,) = found("", has, **config)
    assert finding.severity is FindingSeverity.INFO
    assert f"computes no {name}" in finding.reason


def test_variables_are_looked_at_too() -> None:
    (backend,) = found("", (8, 0), {"VLLM_ATTENTION_BACKEND": "FLASHMLA"})
    assert "VLLM_ATTENTION_BACKEND in env" in backend.fix
    (version,) = found("", (8, 9), {"VLLM_FLASH_ATTN_VERSION": "3"})
    assert version.severity is FindingSeverity.WARNING
    assert found("", (9, 0), {"VLLM_FLASH_ATTN_VERSION": "3"}) == []


@pytest.mark.parametrize(
    "engine",
    [
        'flags = { dtype = "bfloat16", kv-cache-dtype = "fp8" }',
        'flags = { attention-backend = "FLASH_ATTN" }',
        'quantization = "fp8"',
    ],
)
def test_of_a_gpu_that_nobody_knows_and_of_a_cpu_nothing_is_said(engine: str) -> None:
    assert found(engine, None) == []
    assert list(compute_capability(case(engine, gpus=()))) == []
    assert found(engine, (9, 0)) == []


def test_type_auto_is_what_vllm_chooses_for_the_gpu() -> None:
    assert found("", (7, 5)) == []
