"""What is on the disks: room where it will be needed, and what earlier runs left."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.doctor.case import Disk, Leftover
from vllmd.engine.lora.base_model import hub_cache


def disks(config: Config, env: Mapping[str, str]) -> tuple[Disk, ...]:
    """Return the folders that an engine and vllmd write to, as far as they are there."""
    places = [(f"vllmd's {role}", folder) for role, folder in paths.written(config).items()]
    places.append(("compiled kernels", compile_cache(env)))
    places.append(("downloaded models", hub_cache(env)))
    return tuple(_disk(purpose, folder) for purpose, folder in places)


def compile_cache(env: Mapping[str, str]) -> Path:
    """Return vLLM's own cache. Source: VLLM_CACHE_ROOT in vllm/envs.py."""
    return Path(env.get("VLLM_CACHE_ROOT") or paths.cache_home(env) / "vllm")


def _disk(purpose: str, folder: Path) -> Disk:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    return Disk(purpose, str(folder), shutil.disk_usage(there).free)


def leftovers(env: Mapping[str, str], prefix: Path) -> Iterator[Leftover]:
    """Yield what is large and will not be read again."""
    halves = [path for path in _under(hub_cache(env)) if path.name.endswith(".incomplete")]
    if halves:
        size = sum(_size(path) for path in halves)
        yield Leftover("downloads that broke off", f"{hub_cache(env)}/*/blobs/*.incomplete", size)
    cache = compile_cache(env)
    size = sum(_size(path) for path in _under(cache))
    if size:
        yield Leftover("compiled kernels of all versions and models", str(cache), size)
    for marker in prefix.glob("*/.incomplete"):
        size = sum(_size(path) for path in _under(marker.parent))
        yield Leftover("an engine whose installation broke off", str(marker.parent), size)


def _under(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        for name in names:
            yield Path(path, name)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0
