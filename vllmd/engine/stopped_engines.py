"""Which engines a person stopped: kept across restarts of the daemon, until the next boot."""

import asyncio
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vllmd.shim.proc import boot_id
from vllmd.util.late_state import LateState
from vllmd.util.state_file import StateFile
from vllmd.util.within import run_within


class StoppedEngines:
    """The names of the engines that stay stopped, in a file with the id of this boot."""

    def __init__(self, path: Path, boot: str | None = None) -> None:
        self._boot = boot or boot_id()
        self._file = StateFile(
            path,
            if_unusable="engines that were stopped start",
            if_not_written="engines that were stopped start with the next daemon",
        )
        self._late = LateState(self._file, self._of_this_boot)
        self._names = self._late.load() or set()
        self._started = set[str]()
        """Those that were started before the file was read."""
        self._saved = sorted(self._names)
        self._saving = asyncio.Lock()

    def _of_this_boot(self, record: Mapping[str, Any]) -> set[str]:
        if not isinstance(record["stopped"], list):
            raise TypeError("stopped is no list")
        if record.get("boot_id") != self._boot:
            return set()
        return {name for name in record["stopped"] if isinstance(name, str)}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Want `name` to stay stopped; `save` writes it down."""
        self._names.add(name)

    def discard(self, name: str) -> None:
        """Want that no more; `save` writes it down."""
        self._names.discard(name)
        self._started.add(name)

    @property
    def late(self) -> str | None:
        """Why it is not known yet which they are; None if it is."""
        return self._late.problem

    async def read_again(self) -> None:
        """Read the file if it was not read yet."""
        if self.late is not None:
            await asyncio.to_thread(self._late.read_again)
            self._names |= (self._late.take() or set()) - self._started

    async def save(self) -> None:
        """Write down what was said until now. A disk that stands still holds up nobody else.

        Raises: OSError: it could not be written; the caller says so, it holds for this daemon.
        """
        async with self._saving:
            await self.read_again()
            names = sorted(self._names)
            if names != self._saved:
                record = {"boot_id": self._boot, "stopped": names}
                folder = str(self._file.path.parent)
                await run_within(folder, functools.partial(self._file.write, record))
                self._saved = names
