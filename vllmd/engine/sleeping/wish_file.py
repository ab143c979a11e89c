"""What is wanted of an engine's sleep, for the daemon after this one; until the next boot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vllmd.engine.sleeping import rules
from vllmd.engine.sleeping.rules import Wish
from vllmd.shim.proc import boot_id
from vllmd.util.disk_thread import DiskWork, at_once
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
        )

    def load(self) -> Wish | None:
        """Return what is kept; None if there is nothing, or it is of an earlier boot."""
        return self._file.read(_of_this_boot)

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
