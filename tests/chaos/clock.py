"""A clock that can be stepped for the processes of one folder, and for nobody else."""

import struct
from pathlib import Path

from tests.helpers.built import built

SOURCE = Path(__file__).with_suffix(".c")
NAME = "clock.off"


def library() -> Path:
    """Return the built library."""
    return built(SOURCE, "clock.so", "-ldl")


def env(folder: Path) -> dict[str, str]:
    """Return what a process needs to have that clock."""
    return {"LD_PRELOAD": str(library()), "VLLMD_CHAOS_CLOCK": str(folder / NAME)}


def step(folder: Path, seconds: int) -> None:
    """Let the clock be so many seconds off; the file stays the one that is mapped."""
    with (folder / NAME).open("r+b" if (folder / NAME).exists() else "wb") as file:
        file.write(struct.pack("q", seconds))
