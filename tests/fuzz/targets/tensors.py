"""The head of a safetensors file, with an adapter's description before a NUL."""

import json
import tempfile
from pathlib import Path

from tests.fuzz.target import Target
from vllmd.demo.adapter import write_adapter
from vllmd.doctor.config_weights import FAMILIES, tensors_of
from vllmd.doctor.weights import adapter_bytes, loaded_bytes
from vllmd.engine.model_files.base_model import read_sizes
from vllmd.lora.adapter_files import CONFIG, WEIGHTS, AdapterError, read_adapter
from vllmd.lora.validation import problems
from vllmd.shim.files import parse_json

BETWEEN = b"\0\0\0SPLIT\0"


def _run(data: bytes) -> None:
    described, _, weights = data.partition(BETWEEN)
    with tempfile.TemporaryDirectory(prefix="f-") as name:
        folder = Path(name)
        (folder / CONFIG).write_bytes(described)
        (folder / WEIGHTS).write_bytes(weights)
        sizes = read_sizes(folder)
        try:
            adapter = read_adapter(name)
        except AdapterError as error:
            str(error)
        else:
            problems(adapter, 16, "m", sizes)
            adapter_bytes(adapter.tensors, rank=adapter.rank, slots=2)
            loaded_bytes(adapter.tensors, adapter.config)
    try:
        config = parse_json(described)
    except ValueError:
        return
    if isinstance(config, dict):
        tensors_of(config)


def _corpus() -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="f-") as name:
        folder = write_adapter(Path(name) / "a", rank=8, rank_pattern={"q_proj": 32})
        described = (folder / CONFIG).read_bytes()
        weights = (folder / WEIGHTS).read_bytes()
    sizes = {"hidden_size": 64, "vocab_size": 100, "num_hidden_layers": 2, "intermediate_size": 128}
    heads = {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "dtype": "bfloat16",
    }
    models = [json.dumps({"model_type": name, **sizes, **heads}).encode() for name in FAMILIES]
    return [described + BETWEEN + weights, *models]


TARGET = Target(
    "safetensors",
    _run,
    _corpus,
    scraps=(
        *(
            b"\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\xff\xff\xff\x05\x00\x00\x00\x00",
            b'"data_offsets":[0,1e30]',
        ),
        *(
            b'"shape":[-1]',
            b'"shape":[99999999999,99999999999]',
            b'"__metadata__"',
            b'"dtype":null',
            b"[]",
        ),
        *(
            b'"num_hidden_layers": 1000000000',
            b'"quantization_config": {"bits": 0}',
            b'"text_config": {}',
        ),
        *(
            b'"layer_types": ["a"]',
            b'"r": 1e9',
            b'"rank_pattern": {"a": "b"}',
            b'"modules_to_save": 5',
            BETWEEN,
        ),
    ),
)
