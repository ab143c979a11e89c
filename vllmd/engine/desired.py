"""Which engines a person stopped: kept across restarts of the daemon, until the next boot."""

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
        """Remember that `name` is to stay stopped.

        Raises: OSError: it could not be written; the caller says so, it holds for this daemon.
        """
        self._names.add(name)
        self._write()

    def discard(self, name: str) -> None:
        """Forget that `name` was stopped.

        Raises: OSError: it could not be written.
        """
        if name in self._names:
            self._names.discard(name)
            self._write()

    def _write(self) -> None:
        record = {"boot_id": self._boot, "stopped": sorted(self._names)}
        write_record(str(self._path), record)
