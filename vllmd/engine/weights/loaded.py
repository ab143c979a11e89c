"""What kept weights were loaded from: beside their shim's records, for the next daemon too."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd.engine.weights.contents import Contents
from vllmd.shim import proc
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.state_file import ASK_S, NotRead, StateFile
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
        self._known: Loaded | None = None
        self._is_known = False
        self._file = StateFile(
            folder / NAME,
            if_unusable="weights that are in memory are loaded anew at the engine's next start",
            if_not_written="a daemon that starts now loads the weights anew with the engine",
            do=do,
            sync=False,
            folder_mode=0o700,
            replaces=True,  # it is saved for a load that was seen
        )

    async def read(self, within: Within) -> None:
        """Read what an earlier daemon left, off the event loop, until that was read once."""
        if not self._is_known:
            with contextlib.suppress(OSError):
                await within(str(self._file.path), self._read, ASK_S)

    def _read(self) -> None:
        found = self._file.read(_from_json)
        if not (isinstance(found, NotRead) or self._is_known):
            self._known, self._is_known = found, True

    def load(self) -> Loaded | None:
        """Return what is kept; None if there is nothing, it is not of this boot, or not read."""
        return self._known

    @property
    def late(self) -> bool:
        """Whether it was not read yet: nobody knows what is kept."""
        return not self._is_known

    def save(self, loaded: Loaded) -> None:
        """Keep it."""
        self._known, self._is_known = loaded, True
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
