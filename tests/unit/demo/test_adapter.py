import json
from pathlib import Path

from vllmd.demo.adapter import write_adapter
from vllmd.engine.model_files.safetensors import read_header


def test_write_adapter_makes_pefts_layout(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "x" / "a", rank=4, inputs=32, outputs=16, use_dora=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["use_dora"], config["peft_type"]) == (4, True, "LORA")
    shapes = {tensor.shape for tensor in read_header(folder / "adapter_model.safetensors").values()}
    assert shapes == {(4, 32), (16, 4)}
