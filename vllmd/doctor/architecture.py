"""What a model's config.json says of its size: layers, heads, a token's KV cache. Pure.

Source: the attention and cache specifications of vllm/v1/kv_cache_interface.py, 0.25 to 0.32, and
the fields of transformers' configurations.
"""

from collections.abc import Mapping
from typing import Any

import attrs

FULL, SLIDING = "full_attention", "sliding_attention"


@attrs.frozen
class Architecture:
    """The parts of a model that decide how much memory it takes."""

    layers: Mapping[str, int]
    """How many layers there are of each kind of attention; others hold no KV cache by token."""
    kv_heads: int
    head_dim: int
    window: int | None
    """Tokens that a sliding layer looks back to."""
    latent: int | None
    """Numbers that an MLA layer keeps of a token, instead of keys and values."""
    hidden: int
    intermediate: int
    vocabulary: int
    longest: int | None
    """The longest context that the model was made for, in tokens."""

    def kv_bytes(self, tokens: int, *, element_bytes: int, gpus: int) -> int:
        """Return what one request of so many tokens takes of each GPU's KV cache."""
        size = self._layer_bytes(element_bytes, gpus)
        seen = tokens if self.window is None else min(tokens, self.window)
        return size * (self.layers[FULL] * tokens + self.layers[SLIDING] * seen)

    def _layer_bytes(self, element_bytes: int, gpus: int) -> int:
        if self.latent is not None:
            return self.latent * element_bytes  # each GPU keeps all of it
        heads = max(1, self.kv_heads // gpus)
        return 2 * heads * self.head_dim * element_bytes


def read(config: Mapping[str, Any]) -> Architecture | None:
    """Return the architecture; None if the file does not say enough."""
    text = config.get("text_config") or config
    try:
        heads = int(text["num_attention_heads"])
        hidden = int(text["hidden_size"])
        count = int(text["num_hidden_layers"])
    except (KeyError, TypeError, ValueError):
        return None
    rank = text.get("kv_lora_rank")
    window = text.get("sliding_window")
    layers = _kinds(text, count, window)
    longest = text.get("max_position_embeddings")
    return Architecture(
        layers,
        int(text.get("num_key_value_heads") or heads),
        int(text.get("head_dim") or hidden // heads),
        int(window) if window and layers[SLIDING] else None,
        int(rank) + int(text.get("qk_rope_head_dim") or 0) if rank else None,
        hidden,
        int(text.get("intermediate_size") or text.get("moe_intermediate_size") or 4 * hidden),
        int(text.get("vocab_size") or 0),
        int(longest) if longest else None,
    )


def _kinds(text: Mapping[str, Any], count: int, window: Any) -> dict[str, int]:
    """Count the layers by kind: by name where they are listed, else all are of one kind."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        return {kind: kinds.count(kind) for kind in (FULL, SLIDING)}
    sliding = bool(window) and text.get("use_sliding_window", True)
    return {FULL: 0 if sliding else count, SLIDING: count if sliding else 0}
