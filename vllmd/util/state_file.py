"""Small JSON files that outlive a daemon, with one rule for all of them.

**Read.** A file that is not there says nothing. One that cannot be read, is no JSON object or does
not make sense is said once, set aside as `<its name>.unusable`, and what it kept begins anew:
nothing in it keeps a daemon from starting, or an engine from serving.

**Not read.** A disk that is late, or fails for the moment, has not said that there is no file:
`read` returns `NotRead`. The file is left as it is, and nothing is written over it until it was
read: its user tries again, and records nothing meanwhile that the file may know better.

**Written.** Whole or not at all; with `sync`, it is there after a power cut too. A disk that
refuses touches no engine, so that is only said: once, until it takes the file again.

**Versions.** Each file says its own. A newer version only adds, so that each can read the files of
the others: what it does not know it passes over, what is not there yet it has a default for.
"""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import structlog

from vllmd.events.base import emit
from vllmd.events.daemon import StateFileNotWritten, StateFileUnreadable
from vllmd.shim.files import read_json
from vllmd.shim.record import write_record
from vllmd.util.deadline import READ_S, call_within
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.parts import describe

VERSION = "version"
READ_AGAIN_S = 5.0
"""How often a user asks again for a file that was not read."""
ASK_S = READ_S + 1.0
"""How long an event loop waits for a thread that reads: `read` gives up before."""
MAKES_NO_SENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What `parse` may raise for a record that it does not understand."""
FOR_THE_MOMENT = frozenset(
    {
        *(errno.EIO, errno.EAGAIN, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    }
)
"""Errors that say nothing of the file: of a network file system, or of a process without room."""
T = TypeVar("T")

_log = structlog.get_logger()


@attrs.frozen
class NotRead:
    """What `read` returns if the disk has not said what is in the file, nor that there is none."""

    problem: str


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
        replaces: bool = False,
    ) -> None:
        """Name the file, and what follows for a person if it cannot be used or not be written.

        `replaces` if what is saved says all by itself: it is written over one that was not read.
        """
        self.path = path
        self._if_unusable = if_unusable
        self._if_not_written = if_not_written
        self._version = version
        self._do = do
        self._sync = sync
        self._folder_mode = folder_mode
        self._replaces = replaces
        self.unread: str | None = None
        """Why it could not be read the last time; None if it could, or is not there."""
        self.problem: str | None = None
        """Why what was saved last could not be written; None if it could."""
        self._asked = self._done = 0
        self._changed = threading.Condition()

    def read(self, parse: Callable[[Mapping[str, Any]], T]) -> T | NotRead | None:
        """Return what `parse` makes of the file; None if there is none, or it cannot be used.

        `parse` raises one of `MAKES_NO_SENSE` for what it does not understand.
        """
        record: object = None
        try:
            record = call_within(str(self.path.parent), lambda: read_json(self.path))
            if not isinstance(record, dict):
                raise TypeError("it is no JSON object")
            found = parse(record)
        except (FileNotFoundError, NotADirectoryError):
            self.unread = None
            return None
        except (OSError, *MAKES_NO_SENSE) as error:
            if isinstance(error, TimeoutError) or getattr(error, "errno", None) in FOR_THE_MOMENT:
                before, self.unread = self.unread, describe(error)
                if before is None:
                    self._tell(self.unread, "it is left as it is, and read again")
                return NotRead(self.unread)
            self.unread = None
            self._set_aside(self._problem(record, error))
            return None
        self.unread = None
        return found

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

        Raises: OSError: it could not be written, or not be read before; what was is still there.
        """
        if self.unread is not None and not self._replaces:
            text = f"it could not be read, so it is not written over ({self.unread})"
            raise OSError(errno.EAGAIN, text, str(self.path))
        self.path.parent.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
        write_record(str(self.path), {VERSION: self._version, **record}, sync=self._sync)

    def save(self, record: Mapping[str, Any]) -> None:
        """Have it written; of what waits, the newest is enough. What fails is only said."""
        number = self._next_number()
        self._do(lambda: self._save(record, number), str(self.path))

    def _next_number(self) -> int:
        with self._changed:
            self._asked += 1
            return self._asked

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
        self._is_done(number)

    def _is_done(self, number: int) -> None:
        with self._changed:
            self._done = max(self._done, number)
            self._changed.notify_all()

    async def saved(self, seconds: float) -> None:
        """Wait until what was saved, or forgotten, until now is on the disk, or refused by it.

        It is waited for no longer than for so many `seconds`, nor where no thread is to be had.
        """
        if self._done < self._asked:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._wait, self._asked, seconds)

    def _wait(self, number: int, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._done >= number, timeout=seconds)

    def forget(self) -> None:
        """Have it removed: what it says holds no longer, so nobody believes one that stays."""
        number = self._next_number()
        self._do(lambda: self._remove(number), str(self.path))

    def _remove(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
            self.unread = None
        self._is_done(number)
