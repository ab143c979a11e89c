"""What must be remembered of GPUs while the host is up: one small file, forgotten at the next boot.

Written whole or not at all; a file that cannot be read is as good as none, and only said so.
"""

from pathlib import Path
from typing import Any

import attrs
import structlog

from vllmd import events
from vllmd.shim.proc import boot_id
from vllmd.shim.record import read_record, write_record
from vllmd.util.disk_thread import Do, at_once

VERSION = 1
MAX_PROCESSES = 512

_log = structlog.get_logger()

Process = tuple[int, int]
"""A process id and the clock tick in which it began: ids are used again."""


@attrs.define
class Notes:
    """What is remembered."""

    processes: dict[Process, str] = attrs.field(factory=dict)
    """Processes of engines that held GPU memory, with the engine's name."""
    sessions: dict[int, str] = attrs.field(factory=dict)
    """Sessions that engines were started in."""
    baselines: dict[str, tuple[str, int]] = attrs.field(factory=dict)
    """What each engine held when it became ready: its run, and bytes."""
    xids: dict[tuple[str, int], tuple[int, float]] = attrs.field(factory=dict)
    """By UUID and number: how often, and when last, in seconds since the epoch."""
    indices: dict[str, int] = attrs.field(factory=dict)
    """The index that each UUID was first seen with."""
    mismatch: str | None = None
    """The sentence about a driver that was changed: the next daemon knows it from the start."""


class Notebook:
    """The file."""

    def __init__(self, path: Path, do: Do = at_once) -> None:
        """Name the file; `do` is who writes it, and waits for the disk."""
        self._path = path
        self._do = do
        self._written: dict[str, Any] = {}

    def load(self) -> Notes:
        """Return what was noted since the boot."""
        try:
            record = read_record(str(self._path))
            if record is None or record["boot"] != boot_id():
                return Notes()
            return Notes(
                processes={(int(p), int(s)): str(e) for p, s, e in record["processes"]},
                sessions={int(s): str(e) for s, e in record["sessions"]},
                baselines={str(e): (str(r), int(b)) for e, r, b in record["baselines"]},
                xids={(str(u), int(x)): (int(n), float(at)) for u, x, n, at in record["xids"]},
                indices={str(u): int(i) for u, i in record["indices"].items()},
                mismatch=record["mismatch"],
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            _log.warning(
                events.STATE_FILE_UNREADABLE,
                path=str(self._path),
                problem=repr(error),
                consequence="orphans of earlier runs may be taken for foreign processes",
            )
            return Notes()

    def save(self, notes: Notes) -> None:
        """Write down what has changed; a full disk is only said."""
        while len(notes.processes) > MAX_PROCESSES:
            notes.processes.pop(next(iter(notes.processes)))
        record = {
            "version": VERSION,
            "boot": boot_id(),
            "processes": [[p, s, e] for (p, s), e in notes.processes.items()],
            "sessions": [[s, e] for s, e in notes.sessions.items()],
            "baselines": [[e, r, b] for e, (r, b) in notes.baselines.items()],
            "xids": [[u, x, n, at] for (u, x), (n, at) in notes.xids.items()],
            "indices": dict(notes.indices),
            "mismatch": notes.mismatch,
        }
        if record != self._written:
            self._written = record
            self._do(lambda: self._write(record), str(self._path))

    def _write(self, record: dict[str, Any]) -> None:
        try:
            write_record(str(self._path), record)
        except OSError as error:
            _log.error(
                events.STATE_FILE_NOT_WRITTEN,
                path=str(self._path),
                problem=str(error),
                consequence="orphans may be taken for foreign processes by the next daemon",
            )
