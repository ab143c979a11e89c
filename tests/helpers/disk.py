"""A disk of one's own, to be filled."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.site import skip_or_fail


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount an empty file system of that size at `folder`."""
    if os.geteuid() != 0:
        skip_or_fail("a small disk can be mounted by root only")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take what room there is on a disk; returns the file that has it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for block in (1 << 20, 1 << 16, 1 << 12):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * block) == block:
                    pass
    return filler
