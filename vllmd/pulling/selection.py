"""Which files of a model vLLM reads, of all that its page has. Pure."""

from collections.abc import Sequence
from fnmatch import fnmatch

from vllmd.pulling.repository import RemoteFile

OTHER_FORMATS = ("*.bin", "*.pt", "*.pth", "*.gguf")
"""Weights that are not read where there are safetensors."""
WEIGHTS = ("*.safetensors", *OTHER_FORMATS)
READ = ", ".join(each.lstrip("*") for each in WEIGHTS)
OTHER_FRAMEWORKS = (
    "*.onnx",
    "*.onnx_data",
    "*.msgpack",
    "*.h5",
    "*.ot",
    "*.tflite",
    "*.mlmodel",
)
NEVER = (*OTHER_FRAMEWORKS, "original/*")
"""Source: `ignore_patterns` of vLLM, and the formats of other frameworks."""
INDEX = "model.safetensors.index.json"
CONSOLIDATED = "consolidated*.safetensors"
"""The same weights again, as Mistral writes them. Source: vLLM's filter of duplicates."""


def select(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """Return the files to bring: all that is small, and the weights in one format."""
    names = {file.path for file in files}
    left_out = list(NEVER)
    if any(name.endswith(".safetensors") for name in names):
        left_out += OTHER_FORMATS
    if INDEX in names or "model.safetensors" in names:
        left_out.append(CONSOLIDATED)
    return [file for file in files if not any(fnmatch(file.path, each) for each in left_out)]


def weights(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """Return those that are weights that vLLM reads."""
    return [file for file in files if any(fnmatch(file.path, each) for each in WEIGHTS)]


def other_weights(files: Sequence[RemoteFile]) -> list[str]:
    """Return in which formats there are weights that vLLM does not read, such as ``.onnx``."""
    return [
        pattern.lstrip("*")
        for pattern in OTHER_FRAMEWORKS
        if any(fnmatch(file.path, pattern) for file in files)
    ]
