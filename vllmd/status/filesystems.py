"""How much room is left where vllmd writes: its own folders, which are on disks of this host.

The folder of a model is not among them: it may be on a file server, and one that hangs would hang
whoever asks.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs


@attrs.frozen
class Filesystem:
    """The file system with a folder; `avail_bytes` is without what is reserved for root."""

    role: str
    """What the folder is for: `state` or `logs`."""
    folder: str
    size_bytes: int
    avail_bytes: int


def look(folders: Mapping[str, Path]) -> Iterator[Filesystem]:
    """Yield the file systems of folders by what they are for; one that is not there is left out."""
    for role, folder in folders.items():
        try:
            found = os.statvfs(folder)
        except OSError:
            continue
        unit = found.f_frsize
        yield Filesystem(role, str(folder), found.f_blocks * unit, found.f_bavail * unit)
