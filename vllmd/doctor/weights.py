"""What a model's weights take on a GPU, from the heads of its files, or as they would be. Pure.

Source: vLLM loads tensors in the model's type (`dtype = auto`: the file's, but 16 bits for 32), and
`quantization = "fp8"` of a model that is not quantized makes its linear layers one byte each.
"""

import math
from collections.abc import Mapping
from typing import Any

from vllmd.engine.model_files.safetensors import Tensor

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2}
"""Of one element; all others take one byte."""
EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "wpe")
WIDE = ("F32", "F64")


def loaded_bytes(
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    quantization: str | None = None,
    dtype: str = "auto",
) -> int:
    """Return the bytes of all tensors as vLLM holds them."""
    tied = bool((config.get("text_config") or config).get("tie_word_embeddings"))
    made_small = quantization == "fp8" and "quantization_config" not in config
    return sum(
        math.prod(tensor.shape) * _element_bytes(name, tensor, made_small, dtype)
        for name, tensor in tensors.items()
        if not (tied and name.startswith("lm_head."))
    )


def _element_bytes(name: str, tensor: Tensor, made_small: bool, dtype: str) -> int:
    if made_small and _is_linear(name, tensor):
        return 1
    if tensor.dtype in WIDE:
        return 4 if dtype == "float32" else 2
    return BYTES.get(tensor.dtype, 1)


def adapter_bytes(tensors: Mapping[str, Tensor], *, rank: int, slots: int) -> int:
    """Return what vLLM sets aside for LoRA: two matrices for each linear layer and slot."""
    sizes = [
        math.prod(tensor.shape[:-2]) * sum(tensor.shape[-2:])
        for name, tensor in tensors.items()
        if _is_linear(name, tensor)
    ]
    return sum(sizes) * rank * slots * 2


def _is_linear(name: str, tensor: Tensor) -> bool:
    """Tell whether a tensor is a linear layer's, or all those of a layer's experts."""
    dimensions = 3 if ".experts." in name else 2
    return len(tensor.shape) in (2, dimensions) and not any(part in name for part in EMBEDDINGS)
