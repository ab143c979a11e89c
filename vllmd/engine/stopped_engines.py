"""Which engines a person stopped: kept across restarts of the daemon, until the next boot."""

import asyncio
from pathlib import Path

import structlog

from vllmd import events
from vllmd.shim.proc import boot_id
from vllmd.shim.record import read_record, write_record

_log = structlog.get_logger()


class StoppedEngines:
    """The names of the engines that stay stopped, in a file with the id of this boot."""

    def __init__(self, path: Path, boot: str | None = None) -> None:
        self._path = path
        self._boot = boot or boot_id()
        self._names = self._read()
        self._saved = sorted(self._names)
        self._saving = asyncio.Lock()

    def _read(self) -> set[str]:
        if not self._path.exists():
            return set()
        record = read_record(str(self._path))
        names = record.get("stopped") if record else None
        if record is None or not isinstance(names, list):
            _log.warning(
                events.STATE_FILE_UNREADABLE, path=str(self._path), consequence="engines start"
            )
            return set()
        if record.get("boot_id") != self._boot:
            return set()
        return {name for name in names if isinstance(name, str)}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Want `name` to stay stopped; `save` writes it down."""
        self._names.add(name)

    def discard(self, name: str) -> None:
        """Want that no more; `save` writes it down."""
        self._names.discard(name)

    async def save(self) -> None:
        """Write down what was said until now. A disk that stands still holds up nobody else.

        Raises: OSError: it could not be written; the caller says so, it holds for this daemon.
        """
        async with self._saving:
            names = sorted(self._names)
            if names != self._saved:
                record = {"boot_id": self._boot, "stopped": names}
                await asyncio.to_thread(write_record, str(self._path), record)
                self._saved = names
