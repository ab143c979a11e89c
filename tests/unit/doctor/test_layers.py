"""The kinds of layers, by configurations that were published."""

from collections import Counter
from typing import Any

import pytest

from tests.helpers.models import CONFIGS
from vllmd.doctor.layers import FULL, LINEAR, MAMBA, MAMBA2, MLP, SLIDING, kinds, state_numbers


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("Llama-3-8B", {FULL: 32}),
        ("Jamba-v0.1", {MAMBA: 28, FULL: 4}),
        ("Bamba-9B", {MAMBA2: 29, FULL: 3}),
        ("Granite-4.0-H-Small", {MAMBA2: 36, FULL: 4}),
        ("Nemotron-H-8B", {MAMBA2: 24, MLP: 24, FULL: 4}),
        ("Qwen3-Next-80B-A3B", {LINEAR: 36, FULL: 12}),
        ("Mamba-2.8B", {MAMBA: 64}),
        ("Mamba2-2.7B", {MAMBA2: 64}),
        ("gpt-oss-20b", {FULL: 12, SLIDING: 12}),
    ],
)
def test_kinds_are_those_of_the_published_model(name: str, counted: dict[str, int]) -> None:
    assert Counter(kinds(CONFIGS[name])) == counted


@pytest.mark.parametrize(
    ("model", "changes", "sliding"),
    [
        ("gemma2", {}, 4),
        ("gemma3_text", {}, 7),
        ("gemma3_text", {"sliding_window_pattern": 2}, 4),
        ("mistral", {}, 8),
        ("qwen2", {"use_sliding_window": False}, 0),
    ],
)
def test_windows_are_where_the_family_has_them(
    model: str, changes: dict[str, Any], sliding: int
) -> None:
    text = {"model_type": model, "num_hidden_layers": 8, "sliding_window": 512, **changes}
    assert kinds(text).count(SLIDING) == sliding


def test_state_of_a_request_is_what_a_layer_keeps() -> None:
    """Mamba 2.8B: 5,120 x 16, and three columns before the convolution."""
    assert state_numbers(CONFIGS["Mamba-2.8B"], MAMBA) == 5120 * 16 + 5120 * 3
    assert state_numbers(CONFIGS["Mamba2-2.7B"], MAMBA2) == 5120 * 128 + (5120 + 256) * 3
    delta = state_numbers(CONFIGS["Qwen3-Next-80B-A3B"], LINEAR)
    assert delta == 32 * 128 * 128 + (2 * 2048 + 4096) * 3


def test_what_says_too_little_is_an_error() -> None:
    with pytest.raises(KeyError):
        kinds({"model_type": "llama"})
    with pytest.raises(KeyError):
        state_numbers({"hidden_size": 8}, MAMBA)
