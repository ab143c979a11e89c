import json
from pathlib import Path

from vllmd.engine.model_files.base_model import INDEX, UNKNOWN, find_folder, read_sizes


def write_weights(path: Path, **tensors: tuple[str, list[int]]) -> None:
    header = {
        name.replace("__", "."): {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
        for name, (dtype, shape) in tensors.items()
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)


def test_find_folder_is_the_folder_or_the_hubs_cache(tmp_path: Path) -> None:
    assert find_folder(str(tmp_path), {}) == tmp_path
    entry = tmp_path / "hub" / "models--org--name"
    (entry / "snapshots" / "abc").mkdir(parents=True)
    (entry / "refs").mkdir()
    (entry / "refs" / "main").write_text("abc\n")
    for env in ({"HF_HOME": str(tmp_path)}, {"HF_HUB_CACHE": str(tmp_path / "hub")}):
        assert find_folder("org/name", env) == entry / "snapshots" / "abc"
    assert find_folder("org/other", {"HF_HOME": str(tmp_path)}) is None
    (entry / "refs" / "main").write_text("gone")
    assert find_folder("org/name", {"HF_HOME": str(tmp_path)}) is None


def test_read_sizes_are_those_of_plain_layers(tmp_path: Path) -> None:
    write_weights(
        tmp_path / "model.safetensors",
        a__q_proj__weight=("BF16", [128, 64]),
        a__q_proj__bias=("BF16", [128]),
        b__q_proj__weight=("I32", [16, 64]),
        norm__weight=("BF16", [64]),
    )
    assert read_sizes(tmp_path) == {"a.q_proj": (128, 64)}


def test_read_sizes_takes_all_shards_of_the_index(tmp_path: Path) -> None:
    write_weights(tmp_path / "one.safetensors", a__weight=("F32", [2, 3]))
    write_weights(tmp_path / "two.safetensors", b__weight=("F32", [4, 5]))
    write_weights(tmp_path / "other.safetensors", c__weight=("F32", [6, 7]))
    weight_map = {"a.weight": "one.safetensors", "b.weight": "two.safetensors"}
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert read_sizes(tmp_path) == {"a": (2, 3), "b": (4, 5)}


def test_read_sizes_of_files_that_do_not_say_are_unknown(tmp_path: Path) -> None:
    assert read_sizes(tmp_path) == UNKNOWN
    (tmp_path / INDEX).write_text("{")
    assert read_sizes(tmp_path) == UNKNOWN
    (tmp_path / INDEX).write_text('{"weight_map": {"a": "missing.safetensors"}}')
    assert read_sizes(tmp_path) == UNKNOWN
