import json
from pathlib import Path

import pytest

from vllmd.demo.adapter import write_adapter
from vllmd.engine.model_files.safetensors import Tensor, TensorFileError, read_header


def test_read_header_names_tensors_with_their_sizes(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", rank=4, inputs=16, outputs=8, modules=["q_proj"])
    found = read_header(folder / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    assert dict(found) == {
        name.format("A"): Tensor("F32", (4, 16)),
        name.format("B"): Tensor("F32", (8, 4)),
    }


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.999])
def test_read_header_of_a_file_that_is_not_whole_says_so(tmp_path: Path, share: float) -> None:
    path = write_adapter(tmp_path / "a") / "adapter_model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TensorFileError, match=r"not whole|no safetensors file"):
        read_header(path)


@pytest.mark.parametrize(
    "header", ["no json", "[]", '{"a": 1}', '{"a": {"dtype": "F32"}}', '{"a": {"shape": ["x"]}}']
)
def test_read_header_of_something_else_says_so(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(TensorFileError, match="no safetensors file"):
        read_header(path)


def test_read_header_leaves_out_what_the_file_says_of_itself(tmp_path: Path) -> None:
    text = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text)
    assert read_header(tmp_path / "x") == {}
