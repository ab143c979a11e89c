"""What kind each layer of a model is, by its config.json. Pure.

Source: the configurations of transformers 4.57, by `model_type`; and of vLLM, which follows them.
"""

from collections.abc import Callable, Mapping
from typing import Any

FULL, SLIDING = "full_attention", "sliding_attention"
LINEAR, MAMBA, MAMBA2, MLP = "linear_attention", "mamba", "mamba2", "mlp"
STATEFUL = frozenset({LINEAR, MAMBA, MAMBA2})
"""These keep a state of one size for each request, instead of something for each token."""
ATTENTION = frozenset({FULL, SLIDING})

_NAMES = {"attention": FULL, "mamba": MAMBA2}
"""What `layer_types` calls them in Granite's hybrids."""
_PATTERN = {"M": MAMBA2, "*": FULL, "-": MLP}


def kinds(text: Mapping[str, Any]) -> list[str]:
    """Return the kind of each layer, in order; `text` is the configuration of the language model.

    Raises: KeyError, TypeError, ValueError, ZeroDivisionError: it does not say enough.
    """
    named = text.get("layer_types")
    if isinstance(named, list):
        return [_NAMES.get(str(name), str(name)) for name in named]
    count = int(text["num_hidden_layers"])
    of_model = _HYBRIDS.get(str(text.get("model_type")), _windows)
    return of_model(text, count)


def _windows(text: Mapping[str, Any], count: int) -> list[str]:
    """Return which layers of a model with attention alone look back only through a window."""
    if not text.get("sliding_window") or not text.get("use_sliding_window", True):
        return [FULL] * count
    model = text.get("model_type")
    if model in ("gemma2", "gpt_oss"):
        return [FULL if i % 2 else SLIDING for i in range(count)]
    if model in ("gemma3", "gemma3_text"):
        every = int(text.get("sliding_window_pattern") or 6)
        return [SLIDING if (i + 1) % every else FULL for i in range(count)]
    return [SLIDING] * count


def _jamba(text: Mapping[str, Any], count: int) -> list[str]:
    period, offset = int(text["attn_layer_period"]), int(text["attn_layer_offset"])
    return [FULL if (i - offset) % period == 0 else MAMBA for i in range(count)]


def _bamba(text: Mapping[str, Any], count: int) -> list[str]:
    attention = set(text.get("attn_layer_indices") or ())
    return [FULL if i in attention else MAMBA2 for i in range(count)]


def _nemotron(text: Mapping[str, Any], _: int) -> list[str]:
    return [_PATTERN[letter] for letter in text["hybrid_override_pattern"]]


def _qwen3_next(text: Mapping[str, Any], count: int) -> list[str]:
    every = int(text.get("full_attention_interval") or 4)
    return [LINEAR if (i + 1) % every else FULL for i in range(count)]


_HYBRIDS: Mapping[str, Callable[[Mapping[str, Any], int], list[str]]] = {
    "mamba": lambda _, count: [MAMBA] * count,
    "falcon_mamba": lambda _, count: [MAMBA] * count,
    "mamba2": lambda _, count: [MAMBA2] * count,
    "granitemoehybrid": lambda _, count: [MAMBA2] * count,
    "jamba": _jamba,
    "bamba": _bamba,
    "nemotron_h": _nemotron,
    "qwen3_next": _qwen3_next,
}


def state_numbers(text: Mapping[str, Any], kind: str) -> int:
    """Return how many numbers a layer of a stateful kind keeps of each request.

    Source: MambaStateShapeCalculator in vllm/model_executor/layers/mamba/mamba_utils.py.

    Raises: KeyError, TypeError, ValueError: the configuration does not say.
    """
    if kind == LINEAR:
        delta = DeltaNet(text)
        state = delta.value_heads * delta.key_size * delta.value_size
        return state + delta.convolved * (delta.kernel - 1)
    mamba = Mamba(text) if kind == MAMBA else Mamba2(text)
    return mamba.inner * mamba.state + mamba.convolved * (mamba.kernel - 1)


class Mamba:
    """The sizes of a Mamba layer, as its two ways of naming them have it."""

    def __init__(self, text: Mapping[str, Any]) -> None:
        """Read them. Raises: KeyError, TypeError, ValueError: one is missing."""
        hidden = int(text["hidden_size"])
        expand = _first(text, "mamba_expand", "expand", default=2)
        self.inner = int(expand * hidden)
        if text.get("model_type") in ("mamba", "falcon_mamba"):
            self.inner = int(text.get("intermediate_size") or self.inner)
        self.state = int(_first(text, "mamba_d_state", "ssm_state_size", "state_size"))
        self.kernel = int(_first(text, "mamba_d_conv", "conv_kernel", default=4))
        rank = _first(text, "mamba_dt_rank", "time_step_rank", default="auto")
        self.rank = -(-hidden // 16) if rank == "auto" else int(rank)
        self.convolved = self.inner


class Mamba2(Mamba):
    """The sizes of a Mamba 2 layer."""

    def __init__(self, text: Mapping[str, Any]) -> None:
        """Read them. Raises: KeyError, TypeError, ValueError: one is missing."""
        super().__init__(text)
        self.heads = int(_first(text, "mamba_n_heads", "mamba_num_heads", "num_heads"))
        size = _first(text, "mamba_d_head", "mamba_head_dim", "head_dim")
        self.inner = self.inner if size == "auto" else self.heads * int(size)
        self.groups = int(_first(text, "mamba_n_groups", "n_groups", default=1))
        self.convolved = self.inner + 2 * self.groups * self.state


class DeltaNet:
    """The sizes of a gated delta net: the linear attention of Qwen3-Next."""

    def __init__(self, text: Mapping[str, Any]) -> None:
        """Read them. Raises: KeyError, TypeError, ValueError: one is missing."""
        self.key_heads = int(text["linear_num_key_heads"])
        self.value_heads = int(text["linear_num_value_heads"])
        self.key_size = int(text["linear_key_head_dim"])
        self.value_size = int(text["linear_value_head_dim"])
        self.kernel = int(text["linear_conv_kernel_dim"])
        self.keys = self.key_heads * self.key_size
        self.values = self.value_heads * self.value_size
        self.convolved = 2 * self.keys + self.values


def _first(text: Mapping[str, Any], *names: str, default: Any = None) -> Any:
    for name in names:
        if text.get(name) is not None:
            return text[name]
    if default is None:
        raise KeyError(names[0])
    return default
