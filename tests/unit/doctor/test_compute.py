"""What a compute capability can do, as vLLM's source has it."""

from typing import Any

import pytest

from vllmd.doctor.compute import backend_needs, least, native, text

INT4 = {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}
FP8_INPUTS = {"input_activations": {"num_bits": 8, "type": "float"}}


@pytest.mark.parametrize(
    ("method", "said", "needs"),
    [
        ("fp8", {}, (7, 5)),
        ("awq", {}, (7, 5)),
        ("mxfp4", {}, (8, 0)),
        ("gptq", {}, None),
        ("", {}, None),
        ("modelopt", {"quant_algo": "FP8"}, (8, 0)),
        ("modelopt", {"quant_algo": "NVFP4"}, (7, 5)),
        ("modelopt", {"quantization": {"quant_algo": "NVFP4"}}, (7, 5)),
        ("compressed-tensors", {}, (7, 5)),
        ("compressed-tensors", {"config_groups": {"a": INT4}}, (7, 5)),
        ("compressed-tensors", {"config_groups": {"a": {**INT4, **FP8_INPUTS}}}, (9, 0)),
        (
            "compressed-tensors",
            {
                "config_groups": {
                    "a": {"weights": {"num_bits": 4, "type": "float", "group_size": 32}}
                }
            },
            (8, 0),
        ),
        ("compressed-tensors", {"config_groups": "x"}, (7, 5)),
    ],
)
def test_least_is_what_the_method_needs(method: str, said: dict[str, Any], needs: Any) -> None:
    assert least(method, said) == needs


@pytest.mark.parametrize(
    ("method", "said", "made_for"),
    [
        ("fp8", {}, ("FP8", (8, 9))),
        ("mxfp4", {}, ("FP4", (10, 0))),
        ("modelopt", {"quant_algo": "NVFP4"}, ("FP4", (10, 0))),
        ("modelopt", {"quant_algo": "FP8"}, ("FP8", (8, 9))),
        ("awq", {}, None),
    ],
)
def test_native_is_what_a_method_is_made_for(
    method: str, said: dict[str, Any], made_for: Any
) -> None:
    assert native(method, said) == made_for


@pytest.mark.parametrize(
    ("backend", "has", "fits"),
    [
        ("FLASH_ATTN", (7, 5), False),
        ("flash_attn", (8, 0), True),
        ("FLASHMLA", (8, 0), False),
        ("FLASHMLA", (9, 0), True),
        ("CUTLASS_MLA", (9, 0), False),
        ("CUTLASS_MLA", (10, 3), True),
        ("TRITON_ATTN", (7, 0), True),
        ("", (7, 0), True),
    ],
)
def test_backend_needs_is_said_only_where_it_is_missing(backend: str, has: Any, fits: bool) -> None:
    assert (backend_needs(backend, has) is None) is fits


def test_text_is_as_people_write_it() -> None:
    assert text((10, 3)) == "10.3"
