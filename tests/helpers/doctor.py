"""Engines for the doctor: a model of 8 billion parameters as it was on a real H200, and hosts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.config.group import GroupConfig
from vllmd.doctor.case import Case, HostFacts, Model
from vllmd.doctor.group import GroupFacts
from vllmd.doctor.seen import GpuFacts
from vllmd.engine.model_files.safetensors import Tensor
from vllmd.util.units import GIB

H200_CUDA = int(139.8 * GIB)
"""As vLLM printed it. Source: the recorded logs."""
H200 = GpuFacts(H200_CUDA, 0, H200_CUDA)
M8B: Mapping[str, Any] = {
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
}
LAYER = {
    "self_attn.q_proj": (4096, 4096),
    "self_attn.k_proj": (1024, 4096),
    "self_attn.v_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096),
    "mlp.gate_proj": (12288, 4096),
    "mlp.up_proj": (12288, 4096),
    "mlp.down_proj": (4096, 12288),
    "input_layernorm": (4096,),
    "post_attention_layernorm": (4096,),
}


def tensors(layers: int = 36, dtype: str = "BF16") -> dict[str, Tensor]:
    """Return the heads of its weights."""
    found = {
        name: Tensor(dtype, (151936, 4096))
        for name in ("model.embed_tokens.weight", "lm_head.weight")
    }
    for i in range(layers):
        for name, shape in LAYER.items():
            found[f"model.layers.{i}.{name}.weight"] = Tensor(dtype, shape)
    return found


def m8b(folder: Path | None = None, **changes: Any) -> Model:
    """Return the model; `changes` are of its config.json."""
    return Model(folder or Path("/srv/models/m8b"), {**M8B, **changes}, tensors())


WELL = HostFacts((H200,), 8 * GIB, 1_048_576)


def case(
    engine: str = "",
    *,
    model: Model | None = None,
    host: HostFacts = WELL,
    env: Mapping[str, str] | None = None,
    name: str = "/srv/models/m8b",
    **changes: Any,
) -> Case:
    """Return an engine of that model; `engine` goes on in its table, `changes` are of the host."""
    executable = "" if "executable" in engine else 'executable = "/opt/vllm/bin/vllm"\n'
    text = f'[engines.chat]\nmodel = "{name}"\n{executable}{engine}\n'
    made = config(text)
    chat = made.engines["chat"]
    variables = {**chat.env, **(env or {})}
    return Case(made, chat, variables, model or m8b(), attrs.evolve(host, **changes))


def grouped(facts: GroupFacts | None = None, *, interface: str | None = None) -> Case:
    """Return an engine of two hosts, of which this is found out."""
    hosts = (FleetHost("gpu01"), FleetHost("gpu02"))
    made = case()
    group = GroupConfig(hosts=hosts, mode="tensor", interface=interface)
    found = facts or GroupFacts(0)
    return attrs.evolve(made, engine=attrs.evolve(made.engine, group=group), group=found)
