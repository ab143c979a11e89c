"""Make a small model whose answers are as sure as those of a trained one, and faulty copies of it.

Run by the engine's own Python: ``python probe.py FOLDER``. Random weights as they are initialized
give all tokens the same probability; larger ones do not.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from vllmd.demo import tiny_model

LAYERS = 4
SHARPER, OF_EMBEDDING = 3.0, 14.0
LAYER = "model.layers.2."
FILE = "model.safetensors"
Change = Callable[[dict[str, Any]], None]


def main(folder: Path) -> None:
    """Write `right`, `lora`, and a folder for each fault."""
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    tiny_model.LAYERS = LAYERS
    right = folder / "right"
    tiny_model._write_model(right)
    model = Qwen3ForCausalLM.from_pretrained(right)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.dim() == 2:
                weights.mul_(OF_EMBEDDING if "embed" in name else SHARPER)
    model.to(torch.bfloat16).save_pretrained(right)
    tiny_model.write_adapter(folder / "lora")
    for name, change in FAULTS.items():
        _copy(right, folder / name, change)
    _swap_tokens(right, folder / "tokenizer")


def _copy(right: Path, folder: Path, change: Change) -> None:
    from safetensors.torch import load_file, save_file

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(right, folder)
    tensors = load_file(folder / FILE)
    change(tensors)
    save_file(tensors, folder / FILE, metadata={"format": "pt"})


def _scaled(by: float) -> Change:
    def change(tensors: dict[str, Any]) -> None:
        for name, weights in tensors.items():
            if name.startswith(LAYER) and weights.dim() == 2:
                tensors[name] = weights * by

    return change


def _one_value(value: float) -> Change:
    def change(tensors: dict[str, Any]) -> None:
        tensors[f"{LAYER}mlp.down_proj.weight"][7, 9] = value

    return change


def _zeroed(tensors: dict[str, Any]) -> None:
    tensors[f"{LAYER}self_attn.o_proj.weight"][:] = 0


FAULTS: dict[str, Change] = {
    "scaled_1.5": _scaled(1.5),
    "scaled_1.1": _scaled(1.1),
    "scaled_1.02": _scaled(1.02),
    "attention_zero": _zeroed,
    "nan": _one_value(float("nan")),
    "bit_flipped": _one_value(2.0**60),
}


def _swap_tokens(right: Path, folder: Path) -> None:
    """Give three letters of the tokenizer each other's numbers."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(right, folder)
    path = folder / "tokenizer.json"
    about = json.loads(path.read_text())
    vocabulary = about["model"]["vocab"]
    numbers = [vocabulary[letter] for letter in "aeo"]
    vocabulary |= dict(zip("aeo", numbers[1:] + numbers[:1], strict=True))
    path.write_text(json.dumps(about))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
