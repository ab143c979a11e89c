"""What a held engine waits for: space, a program, a model's folder, a port, a GPU.

A hold is released when what failed is fine again. Each is asked for one thing only: is it fine now?
"""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from vllmd.config.command import Command
from vllmd.config.model import Engine
from vllmd.config.paths import cache_home
from vllmd.engine.probes.port import port_free
from vllmd.shim.proc import boot_id
from vllmd.units import GIB

DRIVER_VERSION = "/proc/driver/nvidia/version"
FREE_BYTES = GIB
"""Less than this on a file system that the engine writes to counts as full."""


class Dependencies:
    """The questions for one engine. `gpu` and `memory` are the GPU reader's, once there is one."""

    def __init__(
        self,
        engine: Engine,
        command: Command,
        *,
        folders: tuple[Path, ...] = (),
        gpu: Callable[[], bool | None] = lambda: None,
        memory: Callable[[], bool | None] = lambda: None,
    ) -> None:
        """Make the questions; `folders` are those that vllmd writes to for this engine."""
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

    def surroundings(self) -> dict[str, str]:
        """Return what the engine runs on; if any of it changes, a hold is worth another try."""
        return {
            "boot": boot_id(),
            "program": _fingerprint(self._command.argv[0]),
            "driver": _read(DRIVER_VERSION),
        }

    def _space(self) -> bool | None:
        env = self._command.env
        cache = cache_home(env)
        huggingface = Path(env.get("HF_HOME") or cache / "huggingface")
        places = (*self._folders, cache, huggingface, Path(env.get("TMPDIR", "/tmp")))
        free = [shutil.disk_usage(_existing(place)).free for place in places]
        return all(each >= FREE_BYTES for each in free)

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
    except OSError:
        return f"{path} is not there"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _existing(path: Path) -> Path:
    """Return the nearest folder above that exists."""
    while not path.exists():
        path = path.parent
    return path
