"""A clock that can be stepped for the processes of one folder, and for nobody else."""

import hashlib
import os
import struct
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
NAME = "clock.off"


def library() -> Path:
    """Return the built library; it is built once for each version of its source."""
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"vllmd-chaos-clock-{os.getuid()}-{digest}"
    built = folder / "clock.so"
    if not built.exists():
        folder.mkdir(exist_ok=True)
        fresh = folder / f"{os.getpid()}.so"
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(fresh), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        fresh.rename(built)
    return built


def env(folder: Path) -> dict[str, str]:
    """Return what a process needs to have that clock."""
    return {"LD_PRELOAD": str(library()), "VLLMD_CHAOS_CLOCK": str(folder / NAME)}


def step(folder: Path, seconds: int) -> None:
    """Let the clock be so many seconds off; the file stays the one that is mapped."""
    with (folder / NAME).open("r+b" if (folder / NAME).exists() else "wb") as file:
        file.write(struct.pack("q", seconds))
