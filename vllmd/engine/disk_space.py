"""Room on the file systems that an engine writes to: bytes and files, against what is needed."""

import os
from pathlib import Path

import attrs

from vllmd.util.units import GIB, KIB, MIB, format_bytes

FULL = "No space left on device"
"""What every program says of it. Source: errno(3), ENOSPC."""

RECORDS_BYTES = 64 * KIB
"""A socket, a lock and two records of a run."""
STATE_BYTES = MIB
LOG_BYTES = 16 * MIB
"""Some days of vLLM's lines; what is older is removed within the log's budget."""
TEMPORARY_BYTES = 64 * MIB
CACHE_BYTES = 256 * MIB
"""Compiled kernels of one model."""
DOWNLOAD_BYTES = GIB
FILES = 16
"""More than the files of a run."""
SHARE = 20
"""On a small file system a twentieth of it is enough: it was made for little."""


@attrs.frozen
class FreeSpace:
    """What is left on the file system of a folder; `files` is 0 where it counts none."""

    folder: str
    free_bytes: int
    bytes: int
    free_files: int
    files: int

    def is_enough(self, needed_bytes: int) -> bool:
        """Tell whether so much, and a few files, can be written there."""
        files_fit = not self.files or self.free_files >= min(FILES, self.files // SHARE)
        return files_fit and self.free_bytes >= min(needed_bytes, self.bytes // SHARE)

    def describe(self) -> str:
        """Say what is left, in numbers."""
        left = f"{format_bytes(self.free_bytes)} of {format_bytes(self.bytes)}"
        files = f" and {self.free_files:,} of {self.files:,} files (inodes)" if self.files else ""
        return f"{self.folder} has {left}{files} free"


def look(folder: Path) -> FreeSpace:
    """Look at the file system of a folder, or of the nearest one above that exists.

    Raises: OSError: it cannot be looked at.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    found = os.statvfs(there)
    unit = found.f_frsize
    return FreeSpace(
        str(folder), found.f_bavail * unit, found.f_blocks * unit, found.f_favail, found.f_files
    )


def with_numbers(text: str, *folders: Path) -> str:
    """Return an error's text; if a file system is full, with what is left where it may be."""
    if FULL not in text:
        return text
    rooms = [look(folder) for folder in folders]
    full = [room for room in rooms if not room.is_enough(RECORDS_BYTES)] or rooms
    return f"{text} ({'; '.join(room.describe() for room in full)})"
