"""Small JSON files that outlive a daemon, with one rule for all of them.

**Read.** A file that is not there says nothing. One that cannot be read, is no JSON object or does
not make sense is said once, set aside as `<its name>.unusable`, and what it kept begins anew:
nothing in it keeps a daemon from starting, or an engine from serving. Nor does a disk that hangs.

**Written.** Whole or not at all; with `sync`, it is there after a power cut too. A disk that
refuses touches no engine, so that is only said: once, until it takes the file again.

**Versions.** Each file says its own. A newer version only adds, so that each can read the files of
the others: what it does not know it passes over, what is not there yet it has a default for.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import structlog

from vllmd.events.base import emit
from vllmd.events.daemon import StateFileNotWritten, StateFileUnreadable
from vllmd.shim.files import read_json
from vllmd.shim.record import write_record
from vllmd.util.deadline import call_within
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.parts import describe

VERSION = "version"
MAKES_NO_SENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What `parse` may raise for a record that it does not understand."""
T = TypeVar("T")

_log = structlog.get_logger()


class StateFile:
    """One file. `read` and `write` wait for the disk; `save` leaves that to `do`."""

    def __init__(
        self,
        path: Path,
        *,
        if_unusable: str,
        if_not_written: str,
        version: int = 1,
        do: DiskWork = at_once,
        sync: bool = True,
        folder_mode: int = 0o750,
    ) -> None:
        """Name the file, and what follows for a person if it cannot be used or not be written."""
        self.path = path
        self._if_unusable = if_unusable
        self._if_not_written = if_not_written
        self._version = version
        self._do = do
        self._sync = sync
        self._folder_mode = folder_mode
        self.problem: str | None = None
        """Why what was saved last could not be written; None if it could."""
        self._asked = self._done = 0
        self._changed = threading.Condition()

    def read(self, parse: Callable[[Mapping[str, Any]], T]) -> T | None:
        """Return what `parse` makes of the file; None if there is none, or it cannot be used.

        `parse` raises one of `MAKES_NO_SENSE` for what it does not understand.
        """
        record: object = None
        try:
            record = call_within(str(self.path.parent), lambda: read_json(self.path))
            if not isinstance(record, dict):
                raise TypeError("it is no JSON object")
            return parse(record)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except TimeoutError as error:
            self._tell(describe(error), f"{self._if_unusable}; it is left as it is")
            return None
        except (OSError, *MAKES_NO_SENSE) as error:
            self._set_aside(self._problem(record, error))
            return None

    def _problem(self, record: object, error: Exception) -> str:
        version = record.get(VERSION) if isinstance(record, dict) else None
        newer = isinstance(version, int) and version > self._version
        known = f" (its version is {version}, that of this vllmd {self._version})" if newer else ""
        return describe(error) + known

    def _set_aside(self, problem: str) -> None:
        unusable = self.path.with_name(f"{self.path.name}.unusable")
        try:
            os.replace(self.path, unusable)
            where = f"it is kept as {unusable}"
        except OSError as failure:  # it is replaced as soon as something is written
            where = f"it could not be set aside: {failure.strerror}"
        self._tell(problem, f"{self._if_unusable}; {where}")

    def _tell(self, problem: str, consequence: str) -> None:
        emit(
            _log,
            StateFileUnreadable(path=str(self.path), problem=problem, consequence=consequence),
        )

    def write(self, record: Mapping[str, Any]) -> None:
        """Write it here and now.

        Raises: OSError: it could not be written; what was before is still there.
        """
        self.path.parent.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
        write_record(str(self.path), {VERSION: self._version, **record}, sync=self._sync)

    def save(self, record: Mapping[str, Any]) -> None:
        """Have it written; of what waits, the newest is enough. What fails is only said."""
        with self._changed:
            self._asked += 1
            number = self._asked
        self._do(lambda: self._save(record, number), str(self.path))

    def _save(self, record: Mapping[str, Any], number: int) -> None:
        try:
            self.write(record)
            self.problem = None
        except OSError as error:
            if str(error) != self.problem:
                emit(
                    _log,
                    StateFileNotWritten(
                        path=str(self.path),
                        problem=str(error),
                        consequence=self._if_not_written,
                    ),
                )
            self.problem = str(error)
        with self._changed:
            self._done = max(self._done, number)
            self._changed.notify_all()

    async def saved(self, seconds: float) -> None:
        """Wait until what was saved until now is on the disk, or refused by it; but not longer."""
        if self._done < self._asked:
            await asyncio.to_thread(self._wait, self._asked, seconds)

    def _wait(self, number: int, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done >= number, timeout=seconds)

    def forget(self) -> None:
        """Have it removed: what it says holds no longer, so nobody believes one that stays."""
        self._do(self._remove, str(self.path))

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
