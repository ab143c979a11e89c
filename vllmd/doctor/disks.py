"""What is on the disks: room where it will be needed, and what earlier runs left."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.doctor.case import Disk, Leftover
from vllmd.engine.lora.base_model import hub_cache
from vllmd.engine.restart.compile_cache import vllm_cache
from vllmd.installing.layout import MARKER
from vllmd.installing.running import size_of


def disks(config: Config, env: Mapping[str, str]) -> tuple[Disk, ...]:
    """Return the folders that an engine and vllmd write to, as far as they are there."""
    places = [(f"vllmd's {role}", folder) for role, folder in paths.written(config).items()]
    places.append(("compiled kernels", vllm_cache(env)))
    places.append(("downloaded models", hub_cache(env)))
    return tuple(_disk(purpose, folder) for purpose, folder in places)


def _disk(purpose: str, folder: Path) -> Disk:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    return Disk(purpose, str(folder), shutil.disk_usage(there).free)


def leftovers(env: Mapping[str, str], prefix: Path) -> Iterator[Leftover]:
    """Yield what is large and will not be read again."""
    hub, kernels = hub_cache(env), vllm_cache(env)
    if size := size_of(hub, ".incomplete"):
        yield Leftover("downloads that broke off", f"{hub}/*/blobs/*.incomplete", size)
    if size := size_of(kernels):
        yield Leftover("compiled kernels of all versions and models", str(kernels), size)
    for marker in prefix.glob(f"*/{MARKER}"):
        broken = marker.parent
        yield Leftover("an engine whose installation broke off", str(broken), size_of(broken))
