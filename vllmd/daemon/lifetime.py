"""How the last daemon ended: noted in a small file, so that the next one can tell.

A daemon that is killed cannot say so itself; the file then has no end.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import structlog

from vllmd.errors import VllmdError
from vllmd.events.base import emit
from vllmd.events.daemon import (
    DaemonFailed,
    DaemonRecovered,
    DaemonStopped,
)
from vllmd.shim.proc import boot_id, same_kernel
from vllmd.util.clock import Clock
from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.parts import describe
from vllmd.util.state_file import NotRead, StateFile

NAME = "daemon.json"
FAILED = "failed"
LOST = "lost"
ORDERLY = "stopped"

_log = structlog.get_logger()


@attrs.frozen
class BadEnd:
    """An end that nobody asked for. `ended_at` is in seconds since the epoch, if it is known."""

    how: str
    """`failed`: by a mistake, which it told; `lost`: without a word."""
    problem: str
    pid: int | None
    ended_at: float | None


class Lifetime:
    """The file of one state directory."""

    def __init__(self, path: Path, clock: Clock, do: DiskWork = at_once) -> None:
        """Name the file; `do` is who writes it, and waits for the disk."""
        self._file = StateFile(
            path,
            if_unusable="how the last daemon ended is not known",
            if_not_written="the next daemon cannot tell how this one ended",
            do=do,
        )
        self._clock, self._do = clock, do
        self._record: dict[str, Any] = {}
        self.unexpected = 0
        """How many daemons ended by a mistake or without a word, since the file began."""

    @contextlib.contextmanager
    def told(self, outcome: Callable[[], str]) -> Iterator[None]:
        """Tell and note how what is inside ends; `outcome` is asked when it ends in order."""
        try:
            yield
        except Exception as error:
            expected = isinstance(error, VllmdError)
            self.end(FAILED, describe(error))
            trace = None if expected else error
            emit(_log, DaemonFailed(problem=describe(error)), exc_info=trace)
            raise
        except BaseException:  # whoever runs it gave it up
            self._stopped("cancelled")
            raise
        self._stopped(outcome())

    def _stopped(self, outcome: str) -> None:
        self.end(outcome)
        emit(_log, DaemonStopped(outcome=outcome))

    def begin(self) -> BadEnd | None:
        """Note that a daemon runs, and tell how the last one ended if nobody had asked it to."""
        boot, found = boot_id(), self._file.read(dict)
        before = {} if found is None or isinstance(found, NotRead) else found
        bad = _bad_end(before, boot) if before else None
        self.unexpected = _count(before.get("unexpected")) + (bad is not None)
        self._record = {
            "boot": boot,
            "pid": os.getpid(),
            "started_at": self._clock.time(),
            "unexpected": self.unexpected,
            "end": None,
        }
        if not isinstance(found, NotRead):
            self._file.save(self._record)
        if bad is not None:
            emit(
                _log,
                DaemonRecovered(
                    how=bad.how, problem=bad.problem, pid=bad.pid, ended_at=bad.ended_at
                ),
            )
        return bad

    def end(self, how: str, problem: str | None = None) -> None:
        """Note that the daemon ends, and how: `failed`, or whatever was asked for."""
        end = {"how": how, "problem": problem, "at": self._clock.time()}
        self._record = {**self._record, "end": end}
        if self._file.unread is None:
            self._file.save(self._record)
        else:
            self._do(self._end_late)

    def _end_late(self) -> None:
        """Note the end in a file that could not be read at the beginning, if it can be now."""
        found = self._file.read(dict)
        if isinstance(found, NotRead):
            return
        if found:
            bad = _bad_end(found, str(self._record["boot"])) is not None
            unexpected = _count(found.get("unexpected")) + bad
            self._record = {**self._record, "unexpected": unexpected}
        self._file.save(self._record)


def _bad_end(record: dict[str, Any], boot: str) -> BadEnd | None:
    end, pid = record.get("end"), record.get("pid")
    pid = pid if isinstance(pid, int) else None
    if not isinstance(end, dict):
        return BadEnd(LOST, _what_went_down(str(record.get("boot")), boot), pid, None)
    if end.get("how") != FAILED:
        return None
    at = end.get("at")
    return BadEnd(FAILED, str(end.get("problem")), pid, at if isinstance(at, float) else None)


def _what_went_down(before: str, boot: str) -> str:
    if before == boot:
        return "it was killed, or memory ran out"
    if same_kernel(before, boot):
        return "its container ended while it ran: it was killed, or memory ran out"
    return "the host went down while it ran"


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
