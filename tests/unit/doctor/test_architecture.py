"""What a token takes, for the kinds of attention that there are."""

from typing import Any

import pytest

from tests.helpers.doctor import M8B
from tests.helpers.models import CONFIGS
from vllmd.doctor.architecture import Architecture, read


def made(**changes: Any) -> Architecture:
    found = read({**M8B, **changes})
    assert found is not None
    return found


def bytes_of(tokens: int = 1, gpus: int = 1, element_bytes: int = 2, **changes: Any) -> int:
    return made(**changes).kv_bytes(tokens, element_bytes=element_bytes, gpus=gpus)


def test_grouped_heads_are_what_vllm_printed() -> None:
    """53.56 GiB for 390,032 tokens."""
    assert bytes_of() == 147_456


def test_fp8_takes_half_and_four_gpus_a_quarter_each() -> None:
    assert bytes_of(element_bytes=1) == 147_456 // 2
    assert bytes_of(gpus=4) == 147_456 // 4


def test_more_gpus_than_heads_keep_one_each() -> None:
    assert bytes_of(gpus=16) == bytes_of(gpus=8)


def test_latent_attention_keeps_one_vector_on_every_gpu() -> None:
    """DeepSeek-V3: 512 and 64 numbers in each of 61 layers."""
    sizes = {"num_hidden_layers": 61, "kv_lora_rank": 512, "qk_rope_head_dim": 64}
    assert bytes_of(**sizes) == 61 * 576 * 2
    assert bytes_of(gpus=8, **sizes) == 61 * 576 * 2


def test_sliding_layers_stop_growing() -> None:
    kinds = ["sliding_attention"] * 5 + ["full_attention"]
    sizes: Any = {"num_hidden_layers": 6, "layer_types": kinds, "sliding_window": 1024}
    short, long = bytes_of(1024, **sizes), bytes_of(8192, **sizes)
    layer = 2 * 8 * 128 * 2
    assert short == 6 * 1024 * layer
    assert long == (8192 + 5 * 1024) * layer


def test_window_that_is_not_used_counts_for_nothing() -> None:
    """Qwen2 has a sliding_window, and use_sliding_window = false."""
    assert made(sliding_window=4096, use_sliding_window=False).window is None
    assert made(sliding_window=4096).window == 4096


def test_layers_without_attention_hold_no_tokens() -> None:
    kinds = ["linear_attention"] * 3 + ["full_attention"]
    assert bytes_of(layer_types=kinds) == 2 * 8 * 128 * 2


def test_layers_with_a_state_hold_as_much_of_a_long_request() -> None:
    """Bamba: 29 of 32 layers are Mamba 2, the others hold 8 heads of 128."""
    bamba = read(CONFIGS["Bamba-9B"])
    assert bamba is not None
    state = 29 * (8192 * 128 + (8192 + 256) * 3) * 2
    token = 3 * 2 * 8 * 128 * 2
    for length in (1, 10_000):
        assert bamba.kv_bytes(length, element_bytes=2, gpus=1) == state + length * token
    assert bamba.kv_bytes(1, element_bytes=2, gpus=2) == (state + token) // 2


def test_model_of_states_alone_has_no_heads() -> None:
    mamba = read(CONFIGS["Mamba-2.8B"])
    assert mamba is not None
    one = mamba.kv_bytes(1, element_bytes=2, gpus=1)
    assert one == mamba.kv_bytes(9999, element_bytes=2, gpus=1) == 64 * (5120 * 19) * 2


def test_sizes_of_a_model_that_also_sees_are_those_of_its_text() -> None:
    assert read({"text_config": dict(M8B), "vision_config": {}}) == read(M8B)


@pytest.mark.parametrize("config", [{}, {"hidden_size": "x", **{}}, {"num_attention_heads": 8}])
def test_what_says_too_little_is_none(config: dict[str, Any]) -> None:
    assert read(config) is None
