"""A checkpoint of random weights on the disk, of some GB: run by the engine's own Python.

``python checkpoint.py FOLDER SEED``: the folder has config.json; other seeds are retrained models
of the same shapes. The names are those of Qwen3 in transformers.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCALE = 0.02


def shapes(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
    """Yield each file's name and its tensors: one for a layer, one for the rest."""
    hidden, head = config["hidden_size"], config["head_dim"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    inner, vocabulary = config["intermediate_size"], config["vocab_size"]
    rest = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    if not config["tie_word_embeddings"]:
        rest["lm_head.weight"] = (vocabulary, hidden)
    yield "rest.safetensors", rest
    for number in range(config["num_hidden_layers"]):
        layer = {
            "self_attn.q_proj": (heads * head, hidden),
            "self_attn.k_proj": (kv_heads * head, hidden),
            "self_attn.v_proj": (kv_heads * head, hidden),
            "self_attn.o_proj": (hidden, heads * head),
            "self_attn.q_norm": (head,),
            "self_attn.k_norm": (head,),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        before = f"model.layers.{number}."
        yield (
            f"layer-{number:03}.safetensors",
            {f"{before}{name}.weight": shape for name, shape in layer.items()},
        )


def main() -> None:
    """Write all files and the index that names them; each takes the place of the one before."""
    import torch
    from safetensors.torch import save_file

    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    config = json.loads((folder / "config.json").read_text())
    generator = torch.Generator("cuda").manual_seed(seed)
    weight_map: dict[str, str] = {}
    size = 0
    for name, tensors in shapes(config):
        made = {}
        for key, shape in tensors.items():
            values = torch.randn(shape, generator=generator, device="cuda", dtype=torch.bfloat16)
            values = 1 + SCALE * values if len(shape) == 1 else SCALE * values
            made[key] = values.cpu()
            size += made[key].nbytes
            weight_map[key] = name
        save_file(made, folder / f"{name}.new", metadata={"format": "pt"})
        (folder / f"{name}.new").rename(folder / name)
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    print(size)


if __name__ == "__main__":
    main()
