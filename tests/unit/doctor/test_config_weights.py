"""Weights by config.json alone, against the published sizes of models."""

import math
from typing import Any

import pytest

from tests.helpers.models import CONFIGS, PARAMETERS
from vllmd.doctor.config_weights import FAMILIES, tensors_of
from vllmd.doctor.weights import adapter_bytes, loaded_bytes
from vllmd.util.units import GIB

QWEN3_8B = CONFIGS["Qwen3-8B"]


def count(config: Any) -> int:
    found = tensors_of(config)
    assert found is not None
    return sum(math.prod(tensor.shape) for tensor in found.values())


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    assert count(CONFIGS[name]) == PARAMETERS[name]


def test_every_family_that_differs_is_held_against_a_model() -> None:
    shown = {str(config["model_type"]) for config in CONFIGS.values()}
    untried = set(FAMILIES) - shown
    # as DeepSeek-V3 and as Mamba are made, with other sizes; Llama with norms of whole heads
    assert untried == {"kimi_k2", "falcon_mamba", "olmo2"}


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "brand_new"},
        {"model_type": None},
        {"vision_config": {"hidden_size": 1}},
        {"quantization_config": {"quant_method": "brand_new"}},
        {"quantization_config": {"quant_method": "gptq"}},
        {"hidden_size": "many"},
        {"layer_types": ["brand_new"] * 36},
        {"torch_dtype": "int3"},
    ],
)
def test_what_is_not_known_is_not_guessed(changes: dict[str, Any]) -> None:
    assert tensors_of({**QWEN3_8B, **changes}) is None


def test_nothing_is_said_of_a_file_that_says_nothing() -> None:
    assert tensors_of({}) is None
    assert tensors_of({"text_config": ["x"]}) is None
    assert tensors_of({"model_type": "llama"}) is None


def test_text_of_a_model_is_read_in_its_own_table() -> None:
    assert count({"text_config": QWEN3_8B}) == PARAMETERS["Qwen3-8B"]


def test_weights_take_what_vllm_printed() -> None:
    """15.27 GiB for Qwen3-8B with dummy weights on an H200; with LoRA of rank 16, twice, 15.45."""
    found = tensors_of(QWEN3_8B)
    assert found is not None
    assert loaded_bytes(found, QWEN3_8B) / GIB == pytest.approx(15.27, rel=0.01)
    assert adapter_bytes(found, rank=16, slots=2) / GIB == pytest.approx(0.18, rel=0.25)


@pytest.mark.parametrize(
    ("name", "quantization", "gib"),
    [
        # 9.44, 6.1 and 13.8 GB of files; and 671 billion at one byte, but 0.93 billion at two
        ("Qwen3-8B", {"quant_method": "fp8", "weight_block_size": [128, 128]}, 8.79),
        ("Qwen3-8B", {"quant_method": "awq", "bits": 4, "group_size": 128}, 5.68),
        ("gpt-oss-20b", {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, 12.8),
        ("DeepSeek-V3", {"quant_method": "fp8", "weight_block_size": [128, 128]}, 626),
    ],
)
def test_quantized_weights_take_what_the_files_do(
    name: str, quantization: dict[str, Any], gib: float
) -> None:
    config = {**CONFIGS[name], "quantization_config": quantization}
    found = tensors_of(config)
    assert found is not None
    assert loaded_bytes(found, config) / GIB == pytest.approx(gib, rel=0.05)


def test_experts_are_made_small_by_fp8_too() -> None:
    config = CONFIGS["Mixtral-8x7B"]
    found = tensors_of(config)
    assert found is not None
    small = loaded_bytes(found, config, quantization="fp8")
    assert small == pytest.approx(PARAMETERS["Mixtral-8x7B"], rel=0.01)
