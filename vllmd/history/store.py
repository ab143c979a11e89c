"""The file of the history: opened whatever became of it, appended to, kept within its limits."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent
from vllmd.events.history import (
    HistoryDowngraded,
    HistoryIncomplete,
    HistoryInterrupted,
    HistorySetAside,
)
from vllmd.history import age, schema
from vllmd.history.age import Age
from vllmd.util.units import DAY_S, KIB, MIB

NAME = "vllmd.db"
MARK_NAME = "vllmd.db.mark"
MARK_BYTES = 100
PAGE_BYTES = 4096
MAX_TEXT = 2000
MAX_ITEMS = 32
SHARE_PRUNED = 0.02
"""How much of the events goes at once when the file is full."""
SYNCHRONOUS = "FULL"
"""SQLite's: a commit is on the disk."""

_INSERT = "INSERT INTO events (at, name, level, engine, fields) VALUES (?, ?, ?, ?, ?)"
_LAST = "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'events'), max(at) FROM events"
_FORGET = "DELETE FROM events WHERE id IN (SELECT id FROM events {} ORDER BY id LIMIT ?)"
_ROUTINE = "WHERE level NOT IN ('warning', 'error')"


class Store:
    """One connection, used by one thread at a time."""

    def __init__(self, folder: Path, *, max_bytes: int = 64 * MIB, keep_days: float = 90.0) -> None:
        """Name the file; `open` opens it."""
        self.path = folder / NAME
        self._mark = folder / MARK_NAME
        self.limit(max_bytes=max_bytes, keep_days=keep_days)
        self._connection: sqlite3.Connection | None = None
        self._pruned_at = 0.0
        self._was_open = False
        self._age = Age()
        self._place: tuple[tuple[int, int], ...] = ()

    def limit(self, *, max_bytes: int, keep_days: float) -> None:
        """Keep so much from the next pruning on; the log beside the file keeps its own size."""
        self._wal_bytes = min(4 * MIB, max_bytes // 4)
        self._limit_bytes = max_bytes - 2 * self._wal_bytes
        self._keep_s = keep_days * DAY_S

    def open(self) -> list[TypedEvent]:
        """Open the file; one that cannot be used is set aside, and a new one begins.

        Returns: what there is to tell of it: set aside, interrupted, incomplete, another version.
        Raises: sqlite3.Error, OSError: not even a new one can be made.
        """
        try:
            told = self._begin()
        except (sqlite3.DatabaseError, LookupError, ValueError) as error:
            if _is_passing(error):
                raise
            self.close_at_once()
            aside = self._set_aside()
            told = [HistorySetAside(problem=str(error), kept=aside), *self._begin()]
        self.prune()
        return told

    def _begin(self) -> list[TypedEvent]:
        found = self._open()
        told = self._what_is_missing()
        if found > len(schema.MIGRATIONS):
            told.append(HistoryDowngraded(version=found))
        with self._used() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('session', 'open')")
            connection.execute("SAVEPOINT trial")
            connection.execute(_INSERT, (0.0, "", "", None, "{}"))
            connection.execute("ROLLBACK TO trial")
            known = connection.execute("SELECT value FROM meta WHERE key = 'age'").fetchone()
        self._age = age.from_json(known[0] if known else None)
        self._was_open = True
        self._place = self._look()
        return told

    def in_place(self) -> bool:
        """Tell whether the file is still the one that was opened: not deleted, replaced or cut."""
        try:
            cut = os.stat(self.path).st_size < PAGE_BYTES
            return not cut and self._look() == self._place
        except OSError:
            return False

    def _look(self) -> tuple[tuple[int, int], ...]:
        """Return which files these are; without a log of its own where the disk allows none."""
        found = [os.stat(self.path)]
        with contextlib.suppress(FileNotFoundError):
            found.append(os.stat(f"{self.path}-wal"))
        return tuple((each.st_dev, each.st_ino) for each in found)

    def _open(self) -> int:
        self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o640)
        os.close(descriptor)
        connection = sqlite3.connect(
            self.path, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = lambda data: data.decode(errors="replace")
        self._connection = connection
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {self._wal_bytes // PAGE_BYTES // 2}")
        connection.execute(f"PRAGMA journal_size_limit = {self._wal_bytes}")
        connection.execute("PRAGMA cache_size = -512")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        return schema.migrate(connection)

    def _set_aside(self) -> str:
        """Rename the file with its log; the one that was set aside before is replaced."""
        for suffix in ("-wal", "-shm", ""):
            source = Path(f"{self.path}{suffix}")
            if source.exists():
                os.replace(source, Path(f"{self.path}.unusable{suffix}"))
        self._mark.unlink(missing_ok=True)
        return f"{self.path}.unusable"

    def _what_is_missing(self) -> list[TypedEvent]:
        """Say what a crash or a cut log took: commits that are marked and not there."""
        with self._used() as connection:
            last = connection.execute(_LAST).fetchone()
            session = connection.execute("SELECT value FROM meta WHERE key = 'session'").fetchone()
        last_id, last_at = last[0] or 0, last[1]
        marked = _read_mark(self._mark)
        if marked is not None and marked[0] > last_id:
            missing = marked[0] - last_id
            return [HistoryIncomplete(missing=missing, after=last_at, until=marked[1])]
        if session is not None and session[0] == "open" and not self._was_open:
            return [HistoryInterrupted(last_event_at=last_at)]
        return []

    def append(self, batch: Sequence[Event]) -> None:
        """Write events down; when this returns, they survive a power cut.

        Raises: sqlite3.Error: none of them was written.
        """
        rows = [(e.at, e.name, e.level, e.engine, encode(e.fields)) for e in batch]
        with self._used() as connection:
            connection.executemany(_INSERT, rows)
            last = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
            self._keep_age(connection)
        with contextlib.suppress(OSError):
            _write_mark(self._mark, last, batch[-1].at)

    def prune_if_due(self) -> None:
        """Keep the limit of size now, that of age once a day."""
        if self.used_bytes() > self._limit_bytes or time.monotonic() - self._pruned_at >= DAY_S:
            self.prune()

    def prune(self) -> None:
        """Remove what is too old, and the oldest when the file is full; routine goes first.

        Old is what vllmd ran so long after: a clock that is set, or was wrong, removes nothing.
        """
        self._pruned_at = time.monotonic()
        with self._used() as connection:
            self._keep_age(connection)
            expired = self._age.expired(self._keep_s)
            connection.execute("DELETE FROM events WHERE id <= ?", (expired,))
        while self.used_bytes() > self._limit_bytes:
            with self._used() as connection:
                count = connection.execute("SELECT count(*) FROM events").fetchone()[0]
                if count == 0:
                    break
                oldest = max(1, int(count * SHARE_PRUNED))
                routine = connection.execute(_FORGET.format(_ROUTINE), (oldest,)).rowcount
                if routine == 0:
                    connection.execute(_FORGET.format(""), (oldest,))
        self.connection.execute("PRAGMA incremental_vacuum").fetchall()

    def _keep_age(self, connection: sqlite3.Connection) -> None:
        """Count the time, and write down how far it is."""
        last = connection.execute(_LAST).fetchone()[0] or 0
        self._age.count(time.monotonic())
        self._age.note(last, self._keep_s)
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('age', ?)", (self._age.to_json(),))

    def used_bytes(self) -> int:
        """Return how much of the file holds something."""
        asked = (
            self.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count")
        )
        pages, free = asked
        return int(pages - free) * PAGE_BYTES

    def close(self) -> None:
        """Close the file; the next one to open it knows that nothing is missing.

        Raises: sqlite3.Error: it could not be closed in order.
        """
        with self._used() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('session', 'closed')")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.close_at_once()

    def close_at_once(self) -> None:
        """Close the file as it is."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file."""
        if self._connection is None:
            raise sqlite3.OperationalError(f"{self.path} is not open")
        return self._connection

    @contextlib.contextmanager
    def _used(self) -> Any:
        """A transaction: committed whole, or rolled back."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def encode(fields: Any) -> str:
    """Return fields as JSON, with long texts and lists cut: one event takes at most some KiB."""
    try:
        text = json.dumps({key: _cut(value) for key, value in fields.items()}, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        text = json.dumps({"unreadable": f"{error!r}: {_shown(fields)}"})
    return text if len(text) <= 16 * KIB else json.dumps({"too_long": text[:MAX_TEXT]})


def _shown(fields: Any) -> str:
    try:
        return repr(fields)[:MAX_TEXT]
    except (TypeError, ValueError, RecursionError):
        return f"a {type(fields).__name__} that cannot be shown"


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return value[:MAX_TEXT] + "…"
    if isinstance(value, list | tuple):
        return [_cut(each) for each in value[:MAX_ITEMS]]
    return value


BROKEN = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)
"""Errors of a file that will never take an event; the last two are of tables made otherwise."""


def _is_passing(error: Exception) -> bool:
    """Tell a full disk or a missing right from a file that is broken."""
    code = getattr(error, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_READONLY:  # it was opened for writing just before: its header says so
        return False
    return code is not None and code & 0xFF not in BROKEN


def _read_mark(path: Path) -> tuple[int, float] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would be waited for
        with os.fdopen(descriptor) as file:
            last, at = file.read(MARK_BYTES).split()
        return int(last), float(at)
    except (OSError, ValueError):
        return None


def _write_mark(path: Path, last: int, at: float) -> None:
    """Note the last commit beside the file, always in the same few bytes."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK
    with os.fdopen(os.open(path, flags, 0o640), "w") as file:
        file.write(f"{last:020d} {at:020.3f}\n")
