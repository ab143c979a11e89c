"""What keeps vLLM from loading an adapter, found before it is asked. Pure: no I/O.

Only what is certain is refused: whatever else vLLM may dislike, it says itself.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vllmd.config.lora import RANKS
from vllmd.engine.model_files.base_model import Sizes
from vllmd.lora.adapter_files import Adapter

_TENSOR = re.compile(r"(?:base_model\.model\.)?(?P<layer>.+)\.lora_(?P<side>[AB])\.weight")
_PLAIN_INITS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
_SAVED = frozenset({"classifier", "score"})


def problems(adapter: Adapter, max_rank: int, model: str, sizes: Sizes) -> list[str]:
    """Say everything that keeps an adapter from being loaded, and what to do.

    Source: `PEFTHelper.validate_legal` in vLLM, and the shapes that its buffers have.
    """
    found = [f"vLLM does not support {feature}" for feature in _unsupported(adapter.config)]
    if adapter.rank > max_rank:
        enough = next((rank for rank in RANKS if rank >= adapter.rank), None)
        fix = f"set lora.max_lora_rank = {enough} and restart" if enough else "train a smaller one"
        found.append(f"its rank {adapter.rank} is above max_lora_rank {max_rank}: {fix}")
    found += list(_other_base(adapter, model, sizes))[:1]
    return found


def _unsupported(config: Mapping[str, Any]) -> Iterator[str]:
    if (kind := config.get("peft_type")) not in (None, "LORA"):
        yield f"adapters of the type {kind!r}: it takes LORA"
    saved = config.get("modules_to_save") or ()
    if others := [name for name in saved if name not in _SAVED]:
        yield f"modules_to_save {others}: train the adapter without them"
    for key, words in (
        ("use_dora", "DoRA"),
        ("lora_bias", "lora_bias"),
        ("alora_invocation_tokens", "aLoRA"),
        ("layer_replication", "layer_replication"),
        ("use_bdlora", "BD-LoRA"),
        ("use_qalora", "QALoRA"),
    ):
        if config.get(key):
            yield f"{words} ({CONFIG_KEY.format(key)})"
    if (bias := config.get("bias", "none")) != "none":
        yield f'bias = {bias!r}: train it with "none"'
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _PLAIN_INITS:
        yield f"init_lora_weights = {init!r}: convert it to a plain LoRA adapter with PEFT"


CONFIG_KEY = "{} in adapter_config.json"


def _other_base(adapter: Adapter, model: str, sizes: Sizes) -> Iterator[str]:
    """Yield each layer whose size is another one than the base model's."""
    for name, tensor in adapter.tensors.items():
        match = _TENSOR.fullmatch(name)
        size = sizes.get(match["layer"]) if match else None
        if match is None or size is None or len(tensor.shape) != 2:
            continue
        theirs, ours, side = (
            (tensor.shape[1], size[1], "inputs")
            if match["side"] == "A"
            else (tensor.shape[0], size[0], "outputs")
        )
        if theirs != ours:
            named = f" ({adapter.base_model})" if adapter.base_model else ""
            yield (
                f"it was made for another base model{named}: {match['layer']} has {theirs} {side} "
                f"there, {ours} in {model}"
            )
