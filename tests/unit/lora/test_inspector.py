from pathlib import Path

import pytest

from tests.helpers.make import engine
from vllmd.demo.adapter import write_adapter
from vllmd.lora.adapter_files import Adapter, read_adapter
from vllmd.lora.inspector import Inspector


def inspector() -> Inspector:
    return Inspector(engine("lora = { max_lora_rank = 16 }"), {})


async def test_problem_of_a_good_adapter_is_none(tmp_path: Path) -> None:
    assert await inspector().problem(str(write_adapter(tmp_path / "a"))) is None


async def test_problem_is_what_the_checks_say(tmp_path: Path) -> None:
    assert "rank 64" in str(await inspector().problem(str(write_adapter(tmp_path / "a", rank=64))))
    assert "no folder" in str(await inspector().problem(str(tmp_path / "none")))


async def test_problem_of_a_name_on_the_hub_is_for_vllm_to_find() -> None:
    assert await inspector().problem("org/adapter") is None


async def test_problem_is_looked_for_again_only_if_the_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def look(path: str) -> Adapter:
        looked.append(path)
        return read_adapter(path)

    monkeypatch.setattr("vllmd.lora.inspector.read_adapter", look)
    folder, asked = write_adapter(tmp_path / "a", rank=64), inspector()
    for _ in range(3):
        assert "rank 64" in str(await asked.problem(str(folder)))
    assert len(looked) == 1
    write_adapter(folder, rank=8)
    assert await asked.problem(str(folder)) is None
    assert len(looked) == 2


async def test_problem_with_a_base_model_at_hand_compares_sizes(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    name = b'{"model.layers.0.self_attn.q_proj.weight":{"dtype":"F32","shape":[128,64],'
    name += b'"data_offsets":[0,0]}}'
    (base / "model.safetensors").write_bytes(len(name).to_bytes(8, "little") + name)
    text = engine("lora = {}")
    given = Inspector(type(text)(name="chat", model=str(base), lora=text.lora), {})
    problem = await given.problem(str(write_adapter(tmp_path / "a")))
    assert "another base model" in str(problem)
