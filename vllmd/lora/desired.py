"""Which adapters an engine is to have: by the file, by a folder that is watched, by command."""

import asyncio
import enum
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from vllmd.config.lora import name_problem
from vllmd.lora.adapter_files import CONFIG
from vllmd.util.deadline import call_within
from vllmd.util.state_file import StateFile


class AdapterSource(enum.StrEnum):
    """Who wants an adapter."""

    FILE = "file"
    DIRECTORY = "directory"
    COMMAND = "command"


@attrs.frozen
class DesiredAdapter:
    """One adapter that is wanted."""

    path: str
    source: AdapterSource


class FolderError(Exception):
    """The folder that is watched cannot be read; what was in it stays as it is."""


def scan(folder: str) -> Mapping[str, str]:
    """Return the adapters' folders in a folder by name; hidden ones are being copied.

    Raises: FolderError.
    """
    try:
        return call_within(folder, lambda: _adapters_in(folder))
    except OSError as error:
        raise FolderError(f"lora.directory {folder} cannot be read: {error.strerror}") from None


def _adapters_in(folder: str) -> Mapping[str, str]:
    entries = sorted(os.scandir(folder), key=lambda each: each.name)
    return {
        entry.name: entry.path
        for entry in entries
        if not entry.name.startswith(".")
        and name_problem(entry.name) is None
        and os.path.exists(os.path.join(entry.path, CONFIG))
    }


@attrs.define
class AdapterStateFile:
    """What must outlive the daemon: adapters added by command, and those that we loaded."""

    path: Path
    added: dict[str, str] = attrs.field(factory=dict)
    loaded: set[str] = attrs.field(factory=set)
    _changing: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _file: StateFile = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = StateFile(
            self.path,
            if_unusable="adapters that were added by command are lost",
            if_not_written="what was changed by command is lost if the daemon ends now",
        )

    def read(self) -> None:
        """Read the file; of one that cannot be used nothing is added."""
        self._file.read(self._take)

    @property
    def is_read(self) -> bool:
        """Whether it is known what it says: until then nothing is changed."""
        return self._file.unread is None

    async def read_again(self) -> None:
        """Read it if the disk was late with it."""
        if not self.is_read:
            await asyncio.to_thread(self.read)

    def _take(self, record: Mapping[str, Any]) -> None:
        added = {str(name): str(path) for name, path in record["added"].items()}
        self.added, self.loaded = added, self.loaded | {str(name) for name in record["loaded"]}

    async def change_added(self, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Change what is added by command; one change after another, each written down.

        Raises: OSError: it could not be written, and nothing changed.
        """
        async with self._changing:
            await self.read_again()
            before, self.added = self.added, change(self.added)
            try:
                await asyncio.to_thread(self.write)
            except OSError:
                self.added = before
                raise

    async def change_loaded(self, name: str, *, owned: bool) -> None:
        """Note that an adapter is ours, or not any more.

        Raises: OSError: it could not be written; it holds for this daemon.
        """
        async with self._changing:
            await self.read_again()
            before, others = self.loaded, self.loaded - {name}
            self.loaded = others | {name} if owned else others
            if self.loaded != before:
                await asyncio.to_thread(self.write)

    def write(self) -> None:
        """Write the file.

        Raises: OSError: it could not be written; what was before is still there.
        """
        self._file.write({"added": self.added, "loaded": sorted(self.loaded)})


def merge(
    modules: Mapping[str, str], found: Mapping[str, str], added: Mapping[str, str]
) -> dict[str, DesiredAdapter]:
    """Return what is wanted in all: the file goes before the folder, the folder before commands."""
    wanted = {name: DesiredAdapter(path, AdapterSource.FILE) for name, path in modules.items()}
    for name, path in found.items():
        wanted.setdefault(name, DesiredAdapter(path, AdapterSource.DIRECTORY))
    for name, path in added.items():
        wanted.setdefault(name, DesiredAdapter(path, AdapterSource.COMMAND))
    return wanted
