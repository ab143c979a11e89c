"""Bytes of weights as vLLM holds them."""

from tests.helpers.doctor import M8B, tensors
from vllmd.doctor.weights import adapter_bytes, loaded_bytes
from vllmd.engine.model_files.safetensors import Tensor

BIG = {"model.layers.0.mlp.up_proj.weight": Tensor("BF16", (100, 10))}
HEAD = {"lm_head.weight": Tensor("BF16", (7, 10)), "norm.weight": Tensor("BF16", (10,))}


def test_sixteen_bits_are_two_bytes_and_packed_ones_are_as_stored() -> None:
    assert loaded_bytes(BIG, {}) == 2000
    assert loaded_bytes({"a": Tensor("F8_E4M3", (10, 10)), "b": Tensor("I32", (5,))}, {}) == 120


def test_float32_is_held_in_sixteen_bits_unless_asked_for() -> None:
    wide = {"a.weight": Tensor("F32", (10, 10))}
    assert loaded_bytes(wide, {}) == 200
    assert loaded_bytes(wide, {}, dtype="float32") == 400


def test_fp8_makes_linear_layers_small_and_nothing_else() -> None:
    assert loaded_bytes({**BIG, **HEAD}, {}, quantization="fp8") == 1000 + 140 + 20
    stored = {"quantization_config": {"quant_method": "fp8"}}
    assert loaded_bytes(BIG, stored, quantization="fp8") == 2000


def test_tied_embeddings_are_held_once() -> None:
    assert loaded_bytes({**BIG, **HEAD}, {"tie_word_embeddings": True}) == 2000 + 20
    inner = {"text_config": {"tie_word_embeddings": True}}
    assert loaded_bytes(HEAD, inner) == 20


def test_adapters_take_two_matrices_for_each_layer_and_slot() -> None:
    assert adapter_bytes({**BIG, **HEAD}, rank=16, slots=2) == (100 + 10) * 16 * 2 * 2


def test_a_whole_model_adds_up() -> None:
    """Qwen3-8B has 8,190,735,360 parameters; the norms of its heads and its end are not here."""
    assert loaded_bytes(tensors(), M8B) == 2 * (8_190_735_360 - 36 * 2 * 128 - 4096)
