import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vllmd.demo.adapter import write_adapter
from vllmd.lora.adapter_files import AdapterError, fingerprint, is_local, read_adapter


def test_read_adapter_knows_its_rank_and_base(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", rank=8, rank_pattern={"q_proj": 32})
    adapter = read_adapter(str(folder))
    assert (adapter.rank, adapter.base_model, len(adapter.tensors)) == (32, "tiny", 4)


def config_of(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "adapter_config.json").write_text(text)


def fifo_for(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.rename(f.with_name("b")), "there is no folder"),
        (lambda f: (f / "adapter_config.json").unlink(), "adapter_config.json is missing"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "safetensors is missing"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), "copy it again"),
        (config_of("{"), "is no JSON"),
        (config_of("[" * 100_000), "is no JSON"),
        (config_of("[]"), "no JSON object"),
        (fifo_for("adapter_config.json"), "cannot be read: it is a FIFO"),
        (fifo_for("adapter_model.safetensors"), "cannot be read: it is a FIFO"),
        (config_of("{}"), "lacks 'r'"),
        (config_of('{"r": 8}'), "lacks 'lora_alpha'"),
        (config_of('{"r": 0, "lora_alpha": 1, "target_modules": []}'), "the rank 0"),
        (config_of('{"r": "8", "lora_alpha": 1, "target_modules": []}'), "the rank '8'"),
        (config_of('{"r": 8, "lora_alpha": 1, "target_modules": [], "rank_pattern": 3}'), "lacks"),
    ],
)
def test_read_adapter_that_is_not_whole_says_what_is_wrong(
    tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    folder = write_adapter(tmp_path / "a")
    spoil(folder)
    with pytest.raises(AdapterError, match=words):
        read_adapter(str(folder))


def test_read_adapter_in_an_older_format_has_no_tensors_to_look_at(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert read_adapter(str(folder)).tensors == {}


def test_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a")
    before = fingerprint(str(folder))
    assert before == fingerprint(str(folder))
    config = folder / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "r": 16}))
    assert fingerprint(str(folder)) != before
    assert fingerprint(str(tmp_path / "none")) == ""


def test_is_local_tells_a_folder_from_a_name_on_the_hub(tmp_path: Path) -> None:
    assert is_local("/srv/lora/sql")
    assert is_local(str(tmp_path))
    assert not is_local("org/adapter")
