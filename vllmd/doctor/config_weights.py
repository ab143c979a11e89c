"""A model's weights by its config.json alone: their shapes, where no file says them yet. Pure.

For weights that are still to be downloaded, and for `load-format = "dummy"`. A model whose
`model_type` is not in `FAMILIES`, or that sees or hears too, is not guessed.

Source: the modules of transformers 4.57 by `model_type`; held in tests against the published sizes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from vllmd.doctor import layers
from vllmd.doctor.layers import ATTENTION, LINEAR, MAMBA, MAMBA2, MLP
from vllmd.doctor.quantization import Quantization
from vllmd.engine.model_files.safetensors import Tensor

OTHER_TOWERS = ("vision_config", "audio_config", "encoder")
DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


@attrs.frozen
class ModelFamily:
    """How models of one `model_type` differ from Llama."""

    block: str = "dense"
    """What follows attention: dense, mixtral, qwen, deepseek, jamba, granite_hybrid, gpt_oss."""
    qkv_bias: bool = False
    """Queries, keys and values always have one; else `attention_bias` says it, of outputs too."""
    head_norms: bool = False
    """Queries and keys of each head are normalized."""
    whole_norms: bool = False
    """Queries and keys of all heads together are normalized."""
    norms: int = 2
    """Of a layer."""
    tied: bool = False
    """Unless the configuration says otherwise, the last layer is the first."""


FAMILIES: Mapping[str, ModelFamily] = {
    "llama": ModelFamily(),
    "mistral": ModelFamily(),
    "phi3": ModelFamily(),
    "granite": ModelFamily(),
    "qwen2": ModelFamily(qkv_bias=True),
    "qwen3": ModelFamily(head_norms=True),
    "gemma": ModelFamily(tied=True),
    "gemma2": ModelFamily(norms=4, tied=True),
    "gemma3_text": ModelFamily(norms=4, head_norms=True, tied=True),
    "olmo2": ModelFamily(whole_norms=True),
    "mixtral": ModelFamily("mixtral"),
    "granitemoe": ModelFamily("mixtral"),
    "olmoe": ModelFamily("mixtral", whole_norms=True),
    "qwen2_moe": ModelFamily("qwen", qkv_bias=True),
    "qwen3_moe": ModelFamily("qwen", head_norms=True),
    "qwen3_next": ModelFamily("qwen", head_norms=True),
    "gpt_oss": ModelFamily("gpt_oss"),
    "deepseek_v2": ModelFamily("deepseek"),
    "deepseek_v3": ModelFamily("deepseek"),
    "kimi_k2": ModelFamily("deepseek"),
    "mamba": ModelFamily("none", norms=1, tied=True),
    "falcon_mamba": ModelFamily("none", norms=1, tied=True),
    "mamba2": ModelFamily("none", norms=1),
    "jamba": ModelFamily("jamba"),
    "bamba": ModelFamily(),
    "granitemoehybrid": ModelFamily("granite_hybrid"),
    "nemotron_h": ModelFamily("none", norms=1),
}
"""By `model_type`."""


def tensors_of(config: Mapping[str, Any]) -> Mapping[str, Tensor] | None:
    """Return the weights of a model by name; None if its architecture is not known here."""
    text = config.get("text_config") or config
    model = text.get("model_type") if isinstance(text, Mapping) else None
    family = FAMILIES.get(str(model))
    if family is None or any(config.get(name) for name in OTHER_TOWERS):
        return None
    try:
        packing = Quantization.of(config)
        return None if packing is None else _Weights(text, family, packing).all()
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
        return None


class _Weights:
    """Collects the tensors of one model."""

    def __init__(self, text: Mapping[str, Any], family: ModelFamily, packing: Quantization) -> None:
        self._text = text
        self._family = family
        self._packing = packing
        said = str(text.get("dtype") or text.get("torch_dtype") or "bfloat16")
        self._dtype = DTYPES[said.removeprefix("torch.")]
        self._hidden = int(text["hidden_size"])
        self._found: dict[str, Tensor] = {}

    def all(self) -> Mapping[str, Tensor]:
        """Return them all."""
        text, vocabulary = self._text, int(self._text["vocab_size"])
        self._plain("model.embed_tokens.weight", vocabulary, self._hidden)
        for number, kind in enumerate(layers.kinds(text)):
            self._layer(f"model.layers.{number}", number, kind)
        self._plain("model.norm.weight", self._hidden)
        if not text.get("tie_word_embeddings", self._family.tied):
            self._plain("lm_head.weight", vocabulary, self._hidden)
        return self._found

    # --- one tensor --------------------------------------------------------------------------

    def _plain(self, name: str, *shape: int) -> None:
        self._found[name] = Tensor(self._dtype, shape)

    def _linear(self, name: str, *shape: int, bias: bool = False) -> None:
        """Add a linear layer (out, in), or one of each expert (experts, out, in)."""
        for part, dtype, sizes in self._packing.pack(name, shape, self._dtype):
            self._found[f"{name}.{part}"] = Tensor(dtype, sizes)
        if bias:
            self._plain(f"{name}.bias", *shape[:-1])

    # --- one layer ---------------------------------------------------------------------------

    def _layer(self, name: str, number: int, kind: str) -> None:
        makers: Mapping[str, Callable[[str], None]] = {
            LINEAR: self._delta_net,
            MAMBA: self._mamba,
            MAMBA2: self._mamba2,
            MLP: self._two_layers,
        }
        if kind not in makers and kind not in ATTENTION:
            raise ValueError(f"a layer of kind {kind!r} is not known")
        for norm in range(self._family.norms):
            self._plain(f"{name}.norm{norm}.weight", self._hidden)
        if kind in makers:
            makers[kind](f"{name}.mixer")
        elif self._family.block == "deepseek":
            self._latent_attention(f"{name}.self_attn")
        else:
            self._attention(f"{name}.self_attn")
        self._block(f"{name}.mlp", number)

    def _attention(self, name: str) -> None:
        text, family = self._text, self._family
        heads = int(text["num_attention_heads"])
        keys = int(text.get("num_key_value_heads") or heads)
        size = int(text.get("head_dim") or text.get("attention_head_dim") or self._hidden // heads)
        bias = bool(text.get("attention_bias"))
        gated = 2 if text["model_type"] == "qwen3_next" else 1
        self._linear(
            f"{name}.q_proj", gated * heads * size, self._hidden, bias=bias or family.qkv_bias
        )
        for part in ("k_proj", "v_proj"):
            self._linear(f"{name}.{part}", keys * size, self._hidden, bias=bias or family.qkv_bias)
        self._linear(f"{name}.o_proj", self._hidden, heads * size, bias=bias)
        if family.head_norms or family.whole_norms:
            self._plain(f"{name}.q_norm.weight", heads * size if family.whole_norms else size)
            self._plain(f"{name}.k_norm.weight", keys * size if family.whole_norms else size)
        if family.block == "gpt_oss":
            self._plain(f"{name}.sinks", heads)

    def _latent_attention(self, name: str) -> None:
        text, heads = self._text, int(self._text["num_attention_heads"])
        rank, rope = int(text["kv_lora_rank"]), int(text["qk_rope_head_dim"])
        nope, value = int(text["qk_nope_head_dim"]), int(text["v_head_dim"])
        query_rank = text.get("q_lora_rank")
        if query_rank:
            self._linear(f"{name}.q_a_proj", int(query_rank), self._hidden)
            self._plain(f"{name}.q_a_layernorm.weight", int(query_rank))
        width = int(query_rank or self._hidden)
        self._linear(f"{name}.q_proj", heads * (nope + rope), width)
        self._linear(f"{name}.kv_a_proj_with_mqa", rank + rope, self._hidden)
        self._plain(f"{name}.kv_a_layernorm.weight", rank)
        self._linear(f"{name}.kv_b_proj", heads * (nope + value), rank)
        self._linear(f"{name}.o_proj", self._hidden, heads * value)

    def _mamba(self, name: str) -> None:
        sizes = layers.Mamba(self._text)
        inner, state, rank = sizes.inner, sizes.state, sizes.rank
        self._linear(f"{name}.in_proj", 2 * inner, self._hidden)
        self._plain(f"{name}.conv1d.weight", inner, sizes.kernel)
        self._plain(f"{name}.conv1d.bias", inner)
        self._linear(f"{name}.x_proj", rank + 2 * state, inner)
        self._linear(f"{name}.dt_proj", inner, rank, bias=True)
        self._plain(f"{name}.A_log", inner, state)
        self._plain(f"{name}.D", inner)
        self._linear(f"{name}.out_proj", self._hidden, inner)
        if self._family.block == "jamba":
            self._plain(f"{name}.layernorms", rank + 2 * state)

    def _mamba2(self, name: str) -> None:
        sizes = layers.Mamba2(self._text)
        width = sizes.inner + sizes.convolved + sizes.heads
        self._linear(f"{name}.in_proj", width, self._hidden)
        self._plain(f"{name}.conv1d.weight", sizes.convolved, sizes.kernel)
        self._plain(f"{name}.conv1d.bias", sizes.convolved)
        self._plain(f"{name}.heads", 3, sizes.heads)
        self._plain(f"{name}.norm.weight", sizes.inner)
        self._linear(f"{name}.out_proj", self._hidden, sizes.inner)

    def _delta_net(self, name: str) -> None:
        sizes = layers.DeltaNet(self._text)
        self._linear(f"{name}.in_proj_qkvz", 2 * sizes.keys + 2 * sizes.values, self._hidden)
        self._linear(f"{name}.in_proj_ba", 2 * sizes.value_heads, self._hidden)
        self._plain(f"{name}.conv1d.weight", sizes.convolved, sizes.kernel)
        self._plain(f"{name}.heads", 2, sizes.value_heads)
        self._plain(f"{name}.norm.weight", sizes.value_size)
        self._linear(f"{name}.out_proj", self._hidden, sizes.values)

    def _two_layers(self, name: str) -> None:
        wide = int(self._text["intermediate_size"])
        self._linear(f"{name}.up_proj", wide, self._hidden)
        self._linear(f"{name}.down_proj", self._hidden, wide)

    # --- what follows ------------------------------------------------------------------------

    def _block(self, name: str, number: int) -> None:
        text, block = self._text, self._family.block
        if block == "none":
            return
        if block == "mixtral":
            count = int(text.get("num_local_experts") or text["num_experts"])
            self._experts(name, count, int(text["intermediate_size"]))
        elif block == "gpt_oss":
            self._experts(
                name, int(text["num_local_experts"]), int(text["intermediate_size"]), True
            )
        elif block == "qwen" and self._is_sparse(number):
            self._experts(name, int(text["num_experts"]), int(text["moe_intermediate_size"]))
            shared = text.get("shared_expert_intermediate_size")
            if shared:
                self._gated(f"{name}.shared_expert", int(shared))
                self._plain(f"{name}.shared_expert_gate.weight", 1, self._hidden)
        elif block == "deepseek" and self._is_deep(number):
            wide, count = int(text["moe_intermediate_size"]), int(text["n_routed_experts"])
            self._experts(name, count, wide)
            self._gated(f"{name}.shared_experts", wide * int(text.get("n_shared_experts") or 0))
        elif block == "jamba" and self._jamba_experts(number) > 1:
            self._experts(name, self._jamba_experts(number), int(text["intermediate_size"]))
        elif block == "granite_hybrid":
            if text.get("num_local_experts"):
                self._experts(name, int(text["num_local_experts"]), int(text["intermediate_size"]))
            self._gated(f"{name}.shared_mlp", int(text["shared_intermediate_size"]))
        else:
            self._gated(name, int(text["intermediate_size"]))

    def _gated(self, name: str, wide: int) -> None:
        if not wide:
            return
        bias = bool(self._text.get("mlp_bias"))
        for part in ("gate_proj", "up_proj"):
            self._linear(f"{name}.{part}", wide, self._hidden, bias=bias)
        self._linear(f"{name}.down_proj", self._hidden, wide, bias=bias)

    def _experts(self, name: str, count: int, wide: int, bias: bool = False) -> None:
        self._plain(f"{name}.router.weight", count, self._hidden)
        if bias:
            self._plain(f"{name}.router.bias", count)
        for part in ("gate_proj", "up_proj"):
            self._linear(f"{name}.experts.{part}", count, wide, self._hidden, bias=bias)
        self._linear(f"{name}.experts.down_proj", count, self._hidden, wide, bias=bias)

    def _is_sparse(self, number: int) -> bool:
        text = self._text
        every = int(text.get("decoder_sparse_step") or 1)
        return number not in (text.get("mlp_only_layers") or ()) and (number + 1) % every == 0

    def _is_deep(self, number: int) -> bool:
        text, every = self._text, int(self._text.get("moe_layer_freq") or 1)
        return number >= int(text.get("first_k_dense_replace") or 0) and number % every == 0

    def _jamba_experts(self, number: int) -> int:
        text = self._text
        period, offset = int(text["expert_layer_period"]), int(text["expert_layer_offset"])
        return int(text["num_experts"]) if (number - offset) % period == 0 else 1
