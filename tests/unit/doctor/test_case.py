"""An engine, its model's files, and what follows from both."""

import json
from pathlib import Path

import pytest

from tests.helpers.doctor import H200, M8B, case
from vllmd.demo.adapter import write_adapter
from vllmd.doctor.case import read_model
from vllmd.doctor.seen import GpuFacts
from vllmd.util.units import GIB


def test_model_that_is_nowhere_has_no_folder(tmp_path: Path) -> None:
    assert read_model("org/model", {"HOME": str(tmp_path)}).folder is None


def test_model_without_files_names_what_is_missing(tmp_path: Path) -> None:
    assert read_model(str(tmp_path), {}).problems == (f"{tmp_path} has no config.json",)
    (tmp_path / "config.json").write_text("{")
    assert "config.json cannot be read" in read_model(str(tmp_path), {}).problems[0]


def test_shard_that_is_missing_or_cut_short_is_named(tmp_path: Path) -> None:
    write_adapter(tmp_path)
    whole = (tmp_path / "adapter_model.safetensors").read_bytes()
    (tmp_path / "one.safetensors").write_bytes(whole)
    (tmp_path / "two.safetensors").write_bytes(whole[:-10])
    (tmp_path / "config.json").write_text(json.dumps(dict(M8B)))
    index = {
        "weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "three.safetensors"}
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    made = read_model(str(tmp_path), {})
    assert made.tensors
    assert made.architecture is not None
    assert [any(word in each for each in made.problems) for word in ("three", "not whole")] == [
        True,
        True,
    ]
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    assert any("index" in each for each in read_model(str(tmp_path), {}).problems)


def test_sizes_are_those_of_config_json_where_weights_are_missing(tmp_path: Path) -> None:
    config = {**M8B, "model_type": "qwen3"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = read_model(str(tmp_path), {})
    assert made.is_estimate
    assert made.parameters == 8_190_735_360
    assert case(model=made).capacity is not None
    # a download that broke off: what is there says too little
    write_adapter(tmp_path)
    index = {"weight_map": {"a": "adapter_model.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    broken = read_model(str(tmp_path), {})
    assert broken.tensors
    assert broken.parameters == made.parameters
    # whole files go before it
    (tmp_path / "model.safetensors.index.json").unlink()
    assert not read_model(str(tmp_path), {}).is_estimate


def test_sizes_of_an_architecture_that_is_not_known_are_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**M8B, "model_type": "brand_new"}))
    made = read_model(str(tmp_path), {})
    assert (made.parameters, made.is_estimate) == (0, False)
    assert case(model=made).capacity is None


@pytest.mark.parametrize(
    ("engine", "element", "gpus"),
    [
        ("", 2, 1),
        ('flags = { kv-cache-dtype = "fp8" }', 1, 1),
        ('flags = { kv_cache_dtype = "fp8_e5m2" }', 1, 1),
        ('flags = { dtype = "float32" }', 4, 1),
        ("flags = { tensor-parallel-size = 4 }", 2, 4),
        ("flags = { tensor-parallel-size = 4, pipeline-parallel-size = 2 }", 2, 8),
    ],
)
def test_demand_follows_the_flags(engine: str, element: int, gpus: int) -> None:
    found = case(engine).demand
    assert (found.element_bytes, found.gpus) == (element, gpus)


def test_adapters_are_part_of_what_is_asked() -> None:
    more = case("[engines.chat.lora]\nmax_loras = 4\nmax_lora_rank = 64\n").demand.weights_bytes
    assert more - case().demand.weights_bytes > GIB // 2


def test_smallest_gpu_that_it_uses_counts() -> None:
    small = GpuFacts(24 * GIB, GIB, 20 * GIB)
    assert small.cuda == 23 * GIB
    two = "flags = { tensor-parallel-size = 2 }"
    assert case(two, gpus=(H200, small)).gpu is small
    assert case(gpus=(H200, small)).gpu is H200
    assert case(gpus=(H200, small), env={"CUDA_VISIBLE_DEVICES": "1"}).gpu is small
    assert case(gpus=None).gpu is None
    assert case(gpus=None).capacity is None


def test_least_capability_of_the_gpus_that_it_uses_counts() -> None:
    old, new = GpuFacts(GIB, 0, GIB, (7, 5)), GpuFacts(GIB, 0, GIB, (9, 0))
    two = "flags = { tensor-parallel-size = 2 }"
    assert case(two, gpus=(new, old)).capability == (7, 5)
    assert case(gpus=(new, old)).capability == (9, 0)
    assert case(two, gpus=(new, H200)).capability is None
    assert case(gpus=()).capability is None


def test_context_is_the_configured_one_or_the_models() -> None:
    assert case("max_model_len = 4096").context == 4096
    assert case().context == 40960
    assert case('max_model_len = "auto"').context is None
