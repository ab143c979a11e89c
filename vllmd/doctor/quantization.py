"""How linear layers are stored in a quantized model, by `quantization_config`. Pure.

Source: what each method's library writes, and vLLM's quantization layers read: GPTQ, AWQ,
compressed-tensors, FP8 (block scales too), ModelOpt, MXFP4 and bitsandbytes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

Part = tuple[str, str, tuple[int, ...]]
"""The name of a tensor within its layer, its element type and its shape."""


@attrs.frozen
class Quantization:
    """How many bits a weight takes, and what is stored beside."""

    bits: int | None = None
    """Of one weight; None: as in a model that is not quantized."""
    group: int = 0
    """How many weights of an output share a scale; 0: all of them."""
    scale: str = "BF16"
    """Element type of a scale."""
    zeros: bool = False
    """Whether each group has a zero point too, of as many bits."""
    only: str = ""
    """Of the layers whose name contains it alone."""
    apart: tuple[str, ...] = ()
    """Patterns of names of layers that are not quantized."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Quantization | None":
        """Return how a model's layers are stored; None if that is not known here.

        Raises: KeyError, TypeError, ValueError, AttributeError: the configuration makes no sense.
        """
        text = config.get("text_config") or config
        said = config.get("quantization_config") or text.get("quantization_config")
        if not said:
            return cls()
        apart = tuple(
            _pattern(str(name))
            for key in ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules")
            for name in said.get(key) or ()
        )
        method = str(said.get("quant_method") or "").replace("-", "_")
        read = _METHODS.get(method)
        return None if read is None else attrs.evolve(read(said), apart=apart)

    def pack(self, name: str, shape: tuple[int, ...], dtype: str) -> Iterator[Part]:
        """Yield what a linear layer (…, out, in) is stored as."""
        bits = self.bits
        if bits is None or self.only not in name or any(re.search(p, name) for p in self.apart):
            yield "weight", dtype, shape
            return
        *outer, inputs = shape
        yield "weight_packed", "U8", (*outer, inputs * bits // 8)
        groups = max(1, inputs // self.group) if self.group else 1
        yield "weight_scale", self.scale, (*outer, groups)
        if self.zeros:
            yield "qzeros", "U8", (*outer, max(1, groups * bits // 8))


def _fp8(said: Mapping[str, Any]) -> Quantization:
    block = said.get("weight_block_size")
    return Quantization(8, int(block[0]) * int(block[1]) if block else 0, "F32")


def _grouped(said: Mapping[str, Any]) -> Quantization:
    bits = int(said.get("bits") or said["w_bit"])
    group = int(said.get("group_size") or said.get("q_group_size") or 128)
    return Quantization(bits, max(0, group), "F16", zeros=True)


def _modelopt(said: Mapping[str, Any]) -> Quantization:
    four = "4" in str(said.get("quant_algo") or "")
    return Quantization(4, 16, "U8") if four else Quantization(8, 0, "F32")


def _compressed(said: Mapping[str, Any]) -> Quantization:
    """Read the first group of compressed-tensors."""
    (first, *_) = said["config_groups"].values()
    weights = first["weights"]
    bits, group = int(weights["num_bits"]), int(weights.get("group_size") or 0)
    small = weights.get("type") == "float" and bits == 4
    zeros = not weights.get("symmetric", True)
    return Quantization(bits, max(0, group), "U8" if small else "BF16", zeros=zeros)


def _bitsandbytes(said: Mapping[str, Any]) -> Quantization:
    return Quantization(4, 64, "F32") if said.get("load_in_4bit") else Quantization(8)


_METHODS: Mapping[str, Callable[[Mapping[str, Any]], Quantization]] = {
    "fp8": _fp8,
    "gptq": _grouped,
    "awq": _grouped,
    "modelopt": _modelopt,
    "compressed_tensors": _compressed,
    "mxfp4": lambda _: Quantization(4, 32, "U8", only=".experts."),
    "bitsandbytes": _bitsandbytes,
}


def _pattern(name: str) -> str:
    """Return a regular expression for one entry of a list of layers: it may be one itself.

    A bare name, such as ``gate``, stands for whole parts of layers' names.
    """
    if name.startswith("re:"):
        return name.removeprefix("re:")
    inner = re.escape(name).replace(r"\*", ".*")
    return rf"(?:^|\.){inner}(?:$|\.)"
