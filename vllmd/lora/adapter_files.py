"""One adapter's folder, as PEFT writes it: what it says of itself, and whether it is whole."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.engine.model_files.safetensors import Tensor, TensorFileError, read_header
from vllmd.shim.files import read_json
from vllmd.util.deadline import call_within

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
OLD_WEIGHTS = ("adapter_model.bin", "adapter_model.pt")
_NO_TENSORS: Mapping[str, Tensor] = MappingProxyType({})


class AdapterError(ValueError):
    """An adapter's folder cannot be used; the message says why and what to do."""


@attrs.frozen
class Adapter:
    """What an adapter's own files say."""

    path: str
    config: Mapping[str, Any]
    rank: int
    """The highest that any of its modules has."""
    tensors: Mapping[str, Tensor]
    """Empty where the weights are in an older format, which only torch reads."""

    @property
    def base_model(self) -> str | None:
        """The model that it was trained for, as its author named it."""
        name = self.config.get("base_model_name_or_path")
        return name if isinstance(name, str) and name else None


def is_local(path: str) -> bool:
    """Tell a folder from a name on the Hugging Face hub."""
    return path.startswith(("/", ".", "~")) or Path(path).is_dir()


def fingerprint(path: str) -> str:
    """Return what changes when the adapter's files do; empty if there are none to be read."""
    try:
        stats = call_within(path, lambda: _stats(path))
    except OSError:
        return ""
    return " ".join(f"{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)


def _stats(path: str) -> list[os.stat_result]:
    files = [Path(path) / name for name in (CONFIG, WEIGHTS, *OLD_WEIGHTS)]
    return [each.stat() for each in files if each.exists()]


def read_adapter(path: str) -> Adapter:
    """Read a folder's description, and the head of its weights.

    Raises: AdapterError: a file is missing, not whole, not to be read, or says what cannot be.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise AdapterError(f"there is no folder {path}: fix the path, or put the adapter there")
    config = _read_config(folder / CONFIG)
    try:
        rank, pattern = config["r"], config.get("rank_pattern") or {}
        ranks = [rank, *pattern.values()]
        config["lora_alpha"], config["target_modules"]
    except (KeyError, AttributeError) as error:
        raise AdapterError(f"{folder / CONFIG} lacks {error}: is this a LoRA adapter?") from None
    for each in ranks:
        if not isinstance(each, int) or isinstance(each, bool) or each < 1:
            raise AdapterError(f"{folder / CONFIG}: the rank {each!r} is no whole number above 0")
    return Adapter(path, config, max(ranks), _read_tensors(folder))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise AdapterError(f"{path} is missing: is this a LoRA adapter, and all of it?") from None
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise AdapterError(f"{path} is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise AdapterError(f"{path} is no JSON object: is this a LoRA adapter?")
    return config


def _read_tensors(folder: Path) -> Mapping[str, Tensor]:
    weights = folder / WEIGHTS
    try:
        if weights.exists():
            return read_header(weights)
        if any((folder / name).stat().st_size for name in OLD_WEIGHTS if (folder / name).exists()):
            return _NO_TENSORS
    except OSError as error:
        raise AdapterError(f"{error.filename} cannot be read: {error.strerror}") from None
    except TensorFileError as error:
        raise AdapterError(f"{error}: copy it again") from None
    raise AdapterError(f"{weights} is missing: is this all of the adapter?")
