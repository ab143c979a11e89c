"""The sizes of a base model's layers, from the heads of its weight files."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from vllmd.config.paths import cache_home
from vllmd.engine.model_files.safetensors import TensorFileError, read_header
from vllmd.shim.files import read_json, read_regular

Sizes = Mapping[str, tuple[int, ...]]
"""The shape (out, in) of each linear layer that is not quantized, by the layer's name."""

UNKNOWN: Sizes = MappingProxyType({})
_PLAIN = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
MAX_REF_BYTES = 4096
HUB_NAME = re.compile(r"\w([\w.-]*\w)?(/\w([\w.-]*\w)?)?", re.ASCII)
"""Neither part begins or ends with `.` or `-`. Source: huggingface_hub, validate_repo_id."""
INDEX = "model.safetensors.index.json"


def find_folder(model: str, env: Mapping[str, str], revision: str = "main") -> Path | None:
    """Return where a model's files are: a folder, or the hub's cache; None if not here.

    `revision` is a branch, a tag or a commit of the hub.

    Source: the cache of huggingface_hub, ``models--ORG--NAME/snapshots/COMMIT``.
    """
    if Path(model).is_dir():
        return Path(model)
    entry = hub_cache(env) / f"models--{model.replace('/', '--')}"
    try:
        commit = read_regular(entry / "refs" / revision, MAX_REF_BYTES).decode().strip()
    except FileNotFoundError:
        commit = revision
    except (OSError, UnicodeDecodeError):
        return None
    folder = entry / "snapshots" / commit
    return folder if commit and folder.is_dir() else None


def hub_cache(env: Mapping[str, str]) -> Path:
    """Return the folder of the hub's cache. Source: the variables of huggingface_hub."""
    if "HF_HUB_CACHE" in env:
        return Path(env["HF_HUB_CACHE"])
    return Path(env.get("HF_HOME") or cache_home(env) / "huggingface") / "hub"


def read_sizes(folder: Path) -> Sizes:
    """Return the sizes of a model's layers; none, where its files do not say."""
    try:
        files = weight_files(folder)
        found = {}
        for path in files:
            for name, tensor in read_header(path).items():
                layer, _, kind = name.rpartition(".")
                if kind == "weight" and len(tensor.shape) == 2 and tensor.dtype in _PLAIN:
                    found[layer] = tensor.shape
    except (OSError, ValueError, TensorFileError):
        return UNKNOWN
    return MappingProxyType(found)


def weight_files(folder: Path) -> list[Path]:
    """Return the files with a model's weights, as its index names them, if it has one.

    Raises: OSError, ValueError: the index cannot be read.
    """
    if (folder / INDEX).exists():
        try:
            names = set(read_json(folder / INDEX)["weight_map"].values())
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{INDEX} has no table weight_map: {error!r}") from None
        return [folder / os.path.basename(name) for name in sorted(names)]
    return sorted(folder.glob("*.safetensors"))
