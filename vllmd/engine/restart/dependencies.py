"""What a held engine waits for: space, a program, a model's folder, a port, a GPU.

A hold is released when what failed is fine again. Each is asked for one thing only: is it fine now?
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from vllmd.config.command import Command
from vllmd.config.model import EngineConfig
from vllmd.engine import disk_space
from vllmd.engine.model_files.base_model import find_folder, hub_cache
from vllmd.engine.probes.port import port_free
from vllmd.engine.restart.compile_cache import vllm_cache
from vllmd.shim.proc import boot_id

DRIVER_VERSION = "/proc/driver/nvidia/version"

NOT_THERE = FileNotFoundError, NotADirectoryError, PermissionError
"""Any other error says nothing of a file: its disk fails, or no descriptor is left."""

_NONE: Mapping[Path, int] = MappingProxyType({})


class Dependencies:
    """The questions for one engine. `gpu` and `memory` are the GPU reader's, once there is one."""

    def __init__(
        self,
        engine: EngineConfig,
        command: Command,
        *,
        folders: Mapping[Path, int] = _NONE,
        gpu: Callable[[], bool | None] = lambda: None,
        memory: Callable[[], bool | None] = lambda: None,
    ) -> None:
        """Make the questions; `folders` are those that vllmd writes to for this engine.

        Each has the bytes that are needed there.
        """
        self._engine = engine
        self._command = command
        self._folders = folders
        self._ask: Mapping[str, Callable[[], bool | None]] = {
            "disk_full": self._space,
            "program_missing": self._program,
            "model_not_found": self._model,
            "port_in_use": self._port,
            "gpu_fault": gpu,
            "driver_mismatch": gpu,
            "vram_held": memory,
            "cuda_out_of_memory": memory,
        }

    def fine(self, cause: str) -> bool | None:
        """Tell whether what that cause is about is fine now.

        Returns: None if it depends on nothing that can be asked.
        """
        ask = self._ask.get(cause)
        return ask() if ask else None

    def fingerprint(self) -> dict[str, str]:
        """Return what the engine runs on; if any of it changes, a hold is worth another try.

        Raises: OSError: it cannot be read now, which is no change.
        """
        return {
            "boot": boot_id(),
            "program": _fingerprint(self._command.argv[0]),
            "driver": _read(DRIVER_VERSION),
        }

    def _space(self) -> bool | None:
        env = self._command.env
        needed = {
            **self._folders,
            vllm_cache(env): disk_space.CACHE_BYTES,
            Path(env.get("TMPDIR", "/tmp")): disk_space.TEMPORARY_BYTES,
        }
        if find_folder(self._engine.model, env) is None:
            needed[hub_cache(env)] = disk_space.DOWNLOAD_BYTES
        return all(disk_space.look(place).is_enough(size) for place, size in needed.items())

    def _program(self) -> bool | None:
        return os.access(self._command.argv[0], os.X_OK)

    def _model(self) -> bool | None:
        folder = Path(self._engine.model)
        return folder.exists() if folder.is_absolute() else None

    def _port(self) -> bool | None:
        return port_free(self._engine.host, self._engine.port)


def _fingerprint(program: str) -> str:
    """Return what changes when a program is installed anew, or a link leads to another one."""
    path = os.path.realpath(program)
    try:
        return f"{path} {os.stat(path).st_mtime_ns}"
    except NOT_THERE:
        return f"{path} is not there"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except NOT_THERE:
        return ""
