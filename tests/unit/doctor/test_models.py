import json
import struct
from pathlib import Path

from vllmd.doctor.models import FoundModel, find


def make(folder: Path, size: int, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["X"], **config}))
    head = b"{}".ljust(size - 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    return folder


def test_models_of_folders_and_of_the_hubs_cache_the_largest_first(tmp_path: Path) -> None:
    small = make(tmp_path / "srv" / "org" / "small", 10)
    snapshots = tmp_path / "hf" / "hub" / "models--Qwen--Q" / "snapshots"
    make(snapshots / "abc", 1000)
    (snapshots.parent / "refs").mkdir()
    (snapshots.parent / "refs" / "main").write_text("abc")
    broken = tmp_path / "srv" / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    adapter = make(tmp_path / "srv" / "adapter", 10)
    (adapter / "config.json").write_text("{}")
    found = find({"HF_HOME": str(tmp_path / "hf")}, (tmp_path / "srv", tmp_path / "no"))
    assert found == [FoundModel("Qwen/Q", 1000), FoundModel(str(small), 10)]


def test_folder_that_is_a_model_itself_is_found(tmp_path: Path) -> None:
    model = make(tmp_path / "m", 10)
    assert find({"HF_HOME": str(tmp_path)}, (model,)) == [FoundModel(str(model), 10)]
