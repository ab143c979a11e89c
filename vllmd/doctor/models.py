"""The models that are on this host: in the hub's cache, and in folders where they are kept."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from vllmd.engine.model_files.base_model import find_folder, hub_cache
from vllmd.shim.files import read_json

_PLACES = "/models /srv/models /opt/models /data/models /mnt/models /var/lib/vllmd/models"
USUAL = tuple(map(Path, _PLACES.split()))
DEPTH = 3


@attrs.frozen
class FoundModel:
    """A model."""

    name: str
    """What `model` is set to: a folder, or a name on the hub."""
    bytes: int
    """Of its safetensors files."""


def find(env: Mapping[str, str], folders: tuple[Path, ...] = USUAL) -> list[FoundModel]:
    """Return the models with weights, the largest first: of these folders, and of `~/models`."""
    if home := env.get("HOME"):
        folders = (*folders, Path(home) / "models")
    found = {each.name: each for each in (*_cached(env), *_kept(folders))}
    return sorted(found.values(), key=lambda each: (-each.bytes, each.name))


def _cached(env: Mapping[str, str]) -> Iterator[FoundModel]:
    for entry in sorted(hub_cache(env).glob("models--*--*")):
        name = "/".join(entry.name.split("--")[1:])
        folder = find_folder(name, env)
        if folder is not None and _is_model(folder):
            yield FoundModel(name, _weights(folder))


def _kept(folders: tuple[Path, ...]) -> Iterator[FoundModel]:
    for top in folders:
        for depth in range(DEPTH):
            for config in sorted(top.glob("*/" * depth + "config.json")):
                if _is_model(config.parent):
                    yield FoundModel(str(config.parent), _weights(config.parent))


def problem(path: Path) -> str | None:
    """Say why what is at a path is no model that vLLM serves; None if it looks like one."""
    if path.suffix == ".gguf":
        return "a GGUF file: give the folder of the model that it was made of"
    if not path.is_dir():
        return "a file: give the folder that it is in"
    if (path / "adapter_config.json").exists() and not (path / "config.json").exists():
        return "a LoRA adapter: give its base model here, and the adapter in [engines.NAME.lora]"
    reason = _no_config(path / "config.json")
    if reason is None and not any(any(path.glob(each)) for each in ("*.safetensors", "*.bin")):
        reason = "without weights: no *.safetensors and no *.bin"
    return reason and f"a folder {reason}"


def _no_config(path: Path) -> str | None:
    try:
        config = read_json(path)
    except FileNotFoundError:
        return "without config.json"
    except (OSError, ValueError) as error:
        return f"whose config.json cannot be read: {error}"
    named = isinstance(config, dict) and "architectures" in config
    return None if named else "whose config.json names no architectures"


def _is_model(folder: Path) -> bool:
    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "architectures" in config and _weights(folder) > 0


def _weights(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    except OSError:
        return 0
