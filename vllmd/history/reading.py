"""Look into the history: also while it is being written, and when nobody writes it any more."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs

from vllmd.eventlog.bus import Event
from vllmd.shim.files import refuse_irregular

LEVELS = ("debug", "info", "warning", "error")


@attrs.frozen
class EventFilter:
    """Which events; None stands for all. Times are seconds since the epoch."""

    since: float | None = None
    until: float | None = None
    engine: str | None = None
    level: str | None = None
    """This level and those above it."""
    names: tuple[str, ...] = ()
    """Names of events; ``engine.*`` is all of that beginning."""
    after_id: int = 0
    limit: int = 1000
    """The newest N."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a history for reading only.

    A file that was closed in order has no log beside it, and a reader without the right to make
    one reads it as it lies there.

    Raises: sqlite3.Error: it cannot be read; OSError: it is not there, or no file.
    """
    refuse_irregular(os.stat(path).st_mode, path)  # a FIFO would be waited for
    immutable = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    connection = sqlite3.connect(f"file:{_escaped(path)}?mode=ro{immutable}", uri=True, timeout=5.0)
    connection.text_factory = lambda data: data.decode(errors="replace")
    try:
        yield connection
    finally:
        connection.close()


def read(path: Path, wanted: EventFilter) -> list[Event]:
    """Return the events that are wanted, the oldest first.

    Raises: sqlite3.Error, OSError: the file cannot be read.
    """
    with opened(path) as connection:
        return select(connection, wanted)


def select(connection: sqlite3.Connection, wanted: EventFilter) -> list[Event]:
    """Return the events that are wanted, the oldest first."""
    conditions, values = ["id > ?"], [wanted.after_id]
    for condition, value in (
        ("at >= ?", wanted.since),
        ("at < ?", wanted.until),
        ("engine = ?", wanted.engine),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)  # type: ignore[arg-type]
    if wanted.level is not None:
        levels = LEVELS[LEVELS.index(wanted.level) :]
        conditions.append(f"level IN ({', '.join('?' * len(levels))})")
        values += levels  # type: ignore[arg-type]
    if wanted.names:
        conditions.append(f"({' OR '.join(['name GLOB ?'] * len(wanted.names))})")
        values += wanted.names  # type: ignore[arg-type]
    rows = connection.execute(
        "SELECT id, at, name, level, engine, fields FROM events WHERE "
        f"{' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
        (*values, wanted.limit),
    )
    return [_event(*row) for row in rows][::-1]


def _event(id: int, at: float, name: str, level: str, engine: str | None, fields: str) -> Event:
    try:
        parsed = json.loads(fields)
    except (ValueError, RecursionError):  # a page of the file was damaged
        parsed = {"unreadable": fields}
    if not isinstance(parsed, dict):
        parsed = {"unreadable": fields}
    return Event(at, name, level, engine, parsed, id)


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
