"""What a model's config.json says of its size: layers, heads, the cache of a request. Pure.

Source: the attention and cache specifications of vllm/v1/kv_cache_interface.py, 0.25 to 0.32, and
the fields of transformers' configurations.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from vllmd.doctor.layers import ATTENTION, FULL, SLIDING, STATEFUL, kinds, state_numbers

STATE_BYTES = 2
"""Of a number of a state. Source: mamba_cache_dtype = "auto" is the model's type."""


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
    state: int = 0
    """Numbers that all layers with a state (Mamba) keep of a request, however long it is."""

    def kv_bytes(self, tokens: int, *, element_bytes: int, gpus: int) -> int:
        """Return what one request of so many tokens takes of each GPU's KV cache."""
        size = self._layer_bytes(element_bytes, gpus)
        seen = tokens if self.window is None else min(tokens, self.window)
        state = self.state * STATE_BYTES // gpus
        return state + size * (self.layers[FULL] * tokens + self.layers[SLIDING] * seen)

    def _layer_bytes(self, element_bytes: int, gpus: int) -> int:
        if self.latent is not None:
            return self.latent * element_bytes  # each GPU keeps all of it
        heads = max(1, self.kv_heads // gpus)
        return 2 * heads * self.head_dim * element_bytes


def read(config: Mapping[str, Any]) -> Architecture | None:
    """Return the architecture; None if the file does not say enough."""
    text = config.get("text_config") or config
    try:
        each = kinds(text)
        hidden = int(text["hidden_size"])
        heads = int(text["num_attention_heads"]) if ATTENTION & set(each) else 1
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None
    try:
        state = sum(state_numbers(text, kind) for kind in each if kind in STATEFUL)
    except (KeyError, TypeError, ValueError):
        state = 0  # it is small beside what tokens take
    rank = text.get("kv_lora_rank")
    window = text.get("sliding_window")
    layers = {kind: each.count(kind) for kind in (FULL, SLIDING)}
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
        state,
    )
