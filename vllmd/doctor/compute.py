"""What a GPU's compute capability can do: types, quantizations and attention. Pure.

Source: vLLM 0.32, `get_min_capability` below model_executor/layers/quantization,
`check_if_supports_dtype` of platforms/cuda.py, `_FLOAT16_NOT_SUPPORTED_MODELS` of config/model.py
and `supports_compute_capability` below v1/attention/backends. Where versions differ, the lowest
counts: what is said would fail with each.
"""

from collections.abc import Callable, Mapping
from typing import Any

Capability = tuple[int, int]
"""Such as (8, 0): Ampere's; Turing has 7.5, Ada 8.9, Hopper 9.0, Blackwell 10.0 and 12.0."""

BFLOAT16: Capability = (8, 0)
FP8_CACHE: Capability = (8, 0)
"""FlashInfer; FlashAttention has it from 9.0 on, Triton from 8.9 on."""
FP8_CACHE_TRITON: Capability = (8, 9)
NATIVE_FP8: Capability = (8, 9)
NATIVE_FP4: Capability = (10, 0)
NO_HALF = frozenset({"gemma2", "gemma3", "gemma3_text", "glm4"})
"""Model types that do not compute in float16."""

METHODS: Mapping[str, Capability] = {
    "awq": (7, 5),
    "awq_marlin": (7, 5),
    "auto_awq": (7, 5),
    "compressed-tensors": (7, 5),
    "experts_int8": (8, 0),
    "fbgemm_fp8": (8, 0),
    "fp8": (7, 5),
    "fp_quant": (10, 0),
    "modelopt": (8, 0),
    "modelopt_fp4": (7, 5),
    "modelopt_mxfp8": (8, 0),
    "mxfp4": (8, 0),
    "mxfp8": (8, 0),
    "torchao": (7, 5),
}
"""The least that a method of quantization needs."""
W4A8: Capability = (9, 0)
"""compressed-tensors with weights of 4 bits and FP8 activations."""
W4A4_MXFP4: Capability = (8, 0)

_BACKENDS: Mapping[str, tuple[str, Callable[[Capability], bool]]] = {
    "FLASH_ATTN": ("8.0 or more", lambda has: has >= (8, 0)),
    "FLASHINFER": ("7.5 or more", lambda has: has >= (7, 5)),
    "FLASHMLA": ("9.0 or 10.x", lambda has: has[0] in (9, 10)),
    "FLASHMLA_SPARSE": ("9.0 or 10.x", lambda has: has[0] in (9, 10)),
    "FLASH_ATTN_MLA": ("9.0", lambda has: has[0] == 9),
    "CUTLASS_MLA": ("10.x", lambda has: has[0] == 10),
    "FLASHINFER_MLA": ("10.x", lambda has: has[0] == 10),
    "TOKENSPEED_MLA": ("10.x", lambda has: has[0] == 10),
}


def least(method: str, said: Mapping[str, Any]) -> Capability | None:
    """Return what a method needs at least; None if any GPU that vLLM serves will do.

    `said` is the model's quantization_config; empty where the method is only asked for.
    """
    if method == "modelopt":
        algo = str(said.get("quant_algo") or (said.get("quantization") or {}).get("quant_algo"))
        return METHODS["modelopt_fp4" if "FP4" in algo else method]
    if method == "compressed-tensors":
        return max(METHODS[method], *map(_least_of_group, _groups(said)), (0, 0))
    return METHODS.get(method)


def native(method: str, said: Mapping[str, Any]) -> tuple[str, Capability] | None:
    """Return the arithmetic that a method is made for, and from which capability on it is there.

    Below it vLLM unpacks the weights (Marlin): memory is saved, and no time.
    """
    algo = str(said.get("quant_algo") or "")
    if method in ("mxfp4", "modelopt_fp4") or (method == "modelopt" and "FP4" in algo):
        return "FP4", NATIVE_FP4
    if method in ("fp8", "fbgemm_fp8", "modelopt"):
        return "FP8", NATIVE_FP8
    return None


def backend_needs(name: str, has: Capability) -> str | None:
    """Return what an attention backend needs, if a GPU has something else."""
    needs, fits = _BACKENDS.get(name.upper(), ("", lambda _: True))
    return None if fits(has) else needs


def _groups(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    groups = said.get("config_groups")
    found = groups.values() if isinstance(groups, Mapping) else ()
    return [each for each in found if isinstance(each, Mapping)]


def _least_of_group(group: Mapping[str, Any]) -> Capability:
    weights, inputs = group.get("weights") or {}, group.get("input_activations") or {}
    if weights.get("num_bits") != 4:
        return (0, 0)
    if inputs.get("type") == "float" and inputs.get("num_bits") == 8:
        return W4A8
    mxfp4 = weights.get("type") == "float" and weights.get("group_size") == 32
    return W4A4_MXFP4 if mxfp4 else (0, 0)


def text(has: Capability) -> str:
    """Return it as people write it: ``8.0``."""
    return f"{has[0]}.{has[1]}"
