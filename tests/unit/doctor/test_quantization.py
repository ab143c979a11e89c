"""What quantized layers are stored as."""

import math
from typing import Any

import pytest

from vllmd.doctor.quantization import Quantization
from vllmd.doctor.weights import BYTES


def stored(said: dict[str, Any], name: str = "model.layers.0.mlp.up_proj") -> int:
    """Return the bytes of a layer of 1,024 outputs and 4,096 inputs."""
    packing = Quantization.of({"quantization_config": said})
    assert packing is not None
    parts = packing.pack(name, (1024, 4096), "BF16")
    return sum(BYTES.get(dtype, 1) * math.prod(shape) for _, dtype, shape in parts)


WHOLE = 1024 * 4096
GROUPS = 1024 * 4096 // 128


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({}, 2 * WHOLE),
        ({"quant_method": "fp8"}, WHOLE + 1024 * 4),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, WHOLE + 1024 * 4),
        (
            {"quant_method": "gptq", "bits": 4, "group_size": 128},
            WHOLE // 2 + GROUPS * 2 + GROUPS // 2,
        ),
        (
            {"quant_method": "awq", "w_bit": 4, "q_group_size": 128},
            WHOLE // 2 + GROUPS * 2 + GROUPS // 2,
        ),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, WHOLE + 1024 * 2 + 1024),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, WHOLE + 1024 * 4),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, WHOLE // 2 + WHOLE // 16),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, WHOLE // 2 + WHOLE // 64 * 4),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {
                    "group_0": {
                        "weights": {"num_bits": 4, "type": "int", "group_size": 128},
                    }
                },
            },
            WHOLE // 2 + GROUPS * 2,
        ),
    ],
)
def test_layer_is_stored_as_its_method_does(said: dict[str, Any], size: int) -> None:
    assert stored(said) == size


@pytest.mark.parametrize(
    ("key", "entry", "name", "apart"),
    [
        ("modules_to_not_convert", "gate", "model.layers.0.mlp.gate", True),
        ("modules_to_not_convert", "gate", "model.layers.0.mlp.experts.gate_proj", False),
        (
            "modules_to_not_convert",
            "model.layers.*.self_attn",
            "model.layers.7.self_attn.q_proj",
            True,
        ),
        ("ignore", "re:.*self_attn.*", "model.layers.0.self_attn.q_proj", True),
        ("ignore", "re:.*self_attn.*", "model.layers.0.mlp.up_proj", False),
        ("exclude_modules", "model.layers.0*", "model.layers.0.mlp.up_proj", True),
    ],
)
def test_layers_that_are_named_stay_as_they_are(
    key: str, entry: str, name: str, apart: bool
) -> None:
    said = {"quant_method": "fp8", key: [entry]}
    assert (stored(said, name) == 2 * WHOLE) is apart


def test_mxfp4_is_of_experts_alone() -> None:
    said = {"quant_method": "mxfp4"}
    assert stored(said) == 2 * WHOLE
    assert stored(said, "model.layers.0.mlp.experts.up_proj") == WHOLE // 2 + WHOLE // 32


def test_a_method_that_is_not_known_is_none() -> None:
    assert Quantization.of({"quantization_config": {"quant_method": "brand_new"}}) is None
