from pathlib import Path
from typing import Any

import pytest

from vllmd.demo.adapter import write_adapter
from vllmd.lora.adapter_files import Adapter, read_adapter
from vllmd.lora.validation import problems

LAYER = "model.layers.0.self_attn.q_proj"


def adapter(folder: Path, **about: Any) -> Adapter:
    return read_adapter(str(write_adapter(folder / "a", **about)))


def test_problems_of_a_good_adapter_are_none(tmp_path: Path) -> None:
    assert problems(adapter(tmp_path), 8, "base", {LAYER: (128, 128)}) == []
    assert problems(adapter(tmp_path), 8, "base", {}) == []


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        (32, "its rank 32 is above max_lora_rank 16: set lora.max_lora_rank = 32 and restart"),
        (33, "set lora.max_lora_rank = 64"),
        (600, "train a smaller one"),
    ],
)
def test_problems_name_the_rank_that_would_do(tmp_path: Path, rank: int, words: str) -> None:
    (problem,) = problems(adapter(tmp_path, rank=rank), 16, "base", {})
    assert words in problem


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"peft_type": "IA3"}, "'IA3'"),
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "lora_bias"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"modules_to_save": ["embed_tokens", "score"]}, "['embed_tokens']"),
        ({"init_lora_weights": "pissa"}, "'pissa'"),
        ({"alora_invocation_tokens": [1]}, "aLoRA"),
        ({"layer_replication": [[0, 4]]}, "layer_replication"),
    ],
)
def test_problems_name_what_vllm_does_not_support(
    tmp_path: Path, about: dict[str, Any], words: str
) -> None:
    (problem,) = problems(adapter(tmp_path, **about), 16, "base", {})
    assert words in problem


@pytest.mark.parametrize(
    "about",
    [
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": False},
        {"modules_to_save": ["score"]},
        {"use_rslora": True},
    ],
)
def test_problems_leave_alone_what_vllm_takes(tmp_path: Path, about: dict[str, Any]) -> None:
    assert problems(adapter(tmp_path, **about), 16, "base", {}) == []


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((128, 256), "has 128 inputs there, 256 in base"),
        ((64, 128), "128 outputs there, 64 in base"),
    ],
)
def test_problems_name_another_base_model(
    tmp_path: Path, size: tuple[int, int], words: str
) -> None:
    (problem,) = problems(adapter(tmp_path), 16, "base", {LAYER: size})
    assert problem.startswith("it was made for another base model (tiny)")
    assert words in problem


def test_problems_are_told_all_at_once(tmp_path: Path) -> None:
    found = problems(adapter(tmp_path, rank=64, use_dora=True), 16, "base", {LAYER: (1, 1)})
    assert len(found) == 3
