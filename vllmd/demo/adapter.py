"""A LoRA adapter of zeros, written without torch: for the demonstration and for tests."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HIDDEN = 128
BYTES = 4


def write_adapter(
    folder: Path,
    *,
    rank: int = 8,
    inputs: int = HIDDEN,
    outputs: int = HIDDEN,
    modules: Sequence[str] = ("q_proj", "v_proj"),
    **config: Any,
) -> Path:
    """Write an adapter in PEFT's layout; `config` overrides what it says of itself.

    Returns: `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "peft_type": "LORA",
        "base_model_name_or_path": "tiny",
        "r": rank,
        "lora_alpha": 2 * rank,
        "bias": "none",
        "target_modules": list(modules),
        **config,
    }
    header: dict[str, Any] = {}
    end = 0
    for module in modules:
        for side, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
            size = shape[0] * shape[1] * BYTES
            name = f"base_model.model.model.layers.0.self_attn.{module}.lora_{side}.weight"
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
            end += size
    text = json.dumps(header).encode()
    weights = len(text).to_bytes(8, "little") + text + bytes(end)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text(json.dumps(said))  # last: it makes it whole
    return folder
