"""What is wanted of an engine's sleep, for the daemon after this one; until the next boot."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vllmd.engine.sleeping import rules
from vllmd.engine.sleeping.rules import Wish
from vllmd.shim.proc import boot_id
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.late_state import LateState
from vllmd.util.state_file import StateFile

NAME = "sleep.json"


class WishFile:
    """The file of one engine, beside its shim's."""

    def __init__(self, folder: Path, do: DiskWork = at_once) -> None:
        """Name the folder; `do` is who writes it, and waits for the disk."""
        self._file = StateFile(
            folder / NAME,
            if_unusable="the engine stays as it is until its schedule changes",
            if_not_written="a daemon that starts now does not know what was wanted of its sleep",
            do=do,
            sync=False,
            folder_mode=0o700,  # before its first shim there is none
            replaces=True,  # a later wish takes the place of an earlier one
        )
        self._late = LateState(self._file, _of_this_boot)

    def load(self) -> Wish | None:
        """Return what is kept; None if there is nothing, it is of an earlier boot, or not read."""
        return self._late.load()

    @property
    def late(self) -> bool:
        """Whether it was not read yet."""
        return self._late.problem is not None

    async def load_late(self) -> Wish | None:
        """Read it again."""
        await asyncio.to_thread(self._late.read_again)
        return self._late.take()

    def save(self, wish: Wish | None) -> None:
        """Keep it, or that nothing is wanted."""
        if wish is None:
            self._file.forget()
        else:
            self._file.save({**wish.to_json(), "boot_id": boot_id()})

    async def saved(self, seconds: float) -> None:
        """Wait until that is written down, but not for longer."""
        await self._file.saved(seconds)


def _of_this_boot(record: Mapping[str, Any]) -> Wish | None:
    return rules.from_json(record) if record["boot_id"] == boot_id() else None
