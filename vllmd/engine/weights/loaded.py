"""What kept weights were loaded from: beside their shim's records, for the next daemon too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd.engine.weights.contents import Contents
from vllmd.shim import proc
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.read_once import ReadOnce
from vllmd.util.state_file import StateFile
from vllmd.util.within import Within

NAME = "loaded.json"


@attrs.frozen
class Loaded:
    """What one run of `vllm preload` loaded, and what was decided about it."""

    run_id: str
    contents: Contents
    whole: bool
    """Whether `contents` were read as a whole."""
    kept: bool = False
    """Whether the weights stay although the engine was stopped."""
    complete: bool = False
    """Whether all of them were in memory once: fewer sockets are no load any more."""


class LoadedFile:
    """The file of one engine."""

    def __init__(self, folder: Path, do: DiskWork = at_once) -> None:
        """Name the file; `do` is who writes it, and waits for the disk."""
        self._file = StateFile(
            folder / NAME,
            if_unusable="weights that are in memory are loaded anew at the engine's next start",
            if_not_written="a daemon that starts now loads the weights anew with the engine",
            do=do,
            sync=False,
            folder_mode=0o700,
            replaces=True,  # it is saved for a load that was seen
        )
        self._kept = ReadOnce(self._file, _from_json)

    async def read(self, within: Within) -> None:
        """Read what an earlier daemon left, off the event loop, until that was read once."""
        await self._kept.read(within)

    def load(self) -> Loaded | None:
        """Return what is kept; None if there is nothing, it is not of this boot, or not read."""
        return self._kept.value

    @property
    def late(self) -> bool:
        """Whether it was not read yet: nobody knows what is kept."""
        return not self._kept.is_known

    def save(self, loaded: Loaded) -> None:
        """Keep it."""
        self._kept.know(loaded)
        self._file.save({**attrs.asdict(loaded), "boot_id": proc.boot_id()})


def _from_json(record: Mapping[str, Any]) -> Loaded | None:
    if record["boot_id"] != proc.boot_id():
        return None
    contents = {str(path): tuple(map(str, told)) for path, told in record["contents"].items()}
    return Loaded(
        str(record["run_id"]),
        contents,
        bool(record["whole"]),
        bool(record.get("kept", False)),
        bool(record.get("complete", False)),
    )
