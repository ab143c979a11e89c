import pytest

from vllmd.pulling.repository import RemoteFile
from vllmd.pulling.selection import select

SMALL = ["config.json", "tokenizer.json", "generation_config.json"]
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["model.safetensors", "pytorch_model.bin"], ["model.safetensors"]),
        (["pytorch_model.bin"], ["pytorch_model.bin"]),
        (["m.gguf", "model.safetensors"], ["model.safetensors"]),
        (["m.gguf"], ["m.gguf"]),
        (
            ["model-1.safetensors", INDEX, "consolidated.safetensors"],
            ["model-1.safetensors", INDEX],
        ),
        (["consolidated.safetensors", "params.json"], ["consolidated.safetensors", "params.json"]),
        (["original/model.pth", "model.safetensors"], ["model.safetensors"]),
        (["onnx/model.onnx", "tf_model.h5", "flax_model.msgpack", "m.bin"], ["m.bin"]),
        (["chat_template.jinja", "modeling_x.py"], ["chat_template.jinja", "modeling_x.py"]),
    ],
)
def test_select_takes_all_that_is_small_and_the_weights_once(
    given: list[str], wanted: list[str]
) -> None:
    files = [RemoteFile(name, 1, "ab") for name in (*SMALL, *given)]
    assert [file.path for file in select(files)] == [*SMALL, *wanted]
