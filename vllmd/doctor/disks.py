"""What is on the disks: room where it will be needed, and what earlier runs left."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.doctor.case import Disk, Leftover
from vllmd.engine import disk_space
from vllmd.engine.model_files.base_model import hub_cache
from vllmd.engine.restart.compile_cache import vllm_cache
from vllmd.installing.command_runner import size_of
from vllmd.installing.layout import MARKER


def disks(config: Config, env: Mapping[str, str]) -> tuple[Disk, ...]:
    """Return the folders that an engine and vllmd write to, as far as they are there."""
    ours = paths.written(config)
    places = [
        ("vllmd's sockets and records", paths.run_dir(config), disk_space.RECORDS_BYTES),
        ("vllmd's state", ours["state"], disk_space.STATE_BYTES),
        ("vllmd's logs", ours["logs"], disk_space.LOG_BYTES),
        ("compiled kernels", vllm_cache(env), disk_space.CACHE_BYTES),
        ("downloaded models", hub_cache(env), disk_space.DOWNLOAD_BYTES),
    ]
    return tuple(_disk(*place) for place in places)


def _disk(purpose: str, folder: Path, needed: int) -> Disk:
    room = disk_space.look(folder)
    return Disk(
        purpose,
        str(folder),
        room.free_bytes,
        room.bytes,
        room.is_enough(needed),
        room.free_files if room.files else None,
    )


def leftovers(env: Mapping[str, str], prefix: Path) -> Iterator[Leftover]:
    """Yield what is large and will not be read again."""
    hub, kernels = hub_cache(env), vllm_cache(env)
    if size := size_of(hub, ".incomplete"):
        yield Leftover("interrupted downloads", f"{hub}/*/blobs/*.incomplete", size)
    if size := size_of(kernels):
        yield Leftover("compiled kernels of all versions and models", str(kernels), size)
    for marker in prefix.glob(f"*/{MARKER}"):
        broken = marker.parent
        yield Leftover("an unfinished installation of an engine", str(broken), size_of(broken))
