"""The schema of the history, and the way from each version to the next and back.

A database keeps the way back in itself: an older program, which cannot know a newer schema, undoes
what the newer one did with the newer one's own statements.
"""

import hashlib
import sqlite3
from collections.abc import Sequence

import attrs


@attrs.frozen
class Migration:
    """Statements that lead to a version from the one before, and back."""

    up: str
    down: str


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        up="""
        CREATE TABLE events (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            at REAL NOT NULL,
            name TEXT NOT NULL,
            level TEXT NOT NULL,
            engine TEXT,
            fields TEXT NOT NULL
        );
        CREATE INDEX events_by_time ON events (at);
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        """,
        down="DROP TABLE events; DROP TABLE meta;",
    ),
    Migration(
        up="""
        CREATE INDEX events_by_engine ON events (engine, id);
        CREATE INDEX events_of_routine ON events (id) WHERE level NOT IN ('warning', 'error');
        """,
        down="DROP INDEX events_by_engine; DROP INDEX events_of_routine;",
    ),
)
"""Version n is reached by the first n of them."""

_WAYS_BACK = "CREATE TABLE IF NOT EXISTS ways_back (version INTEGER PRIMARY KEY, down TEXT)"


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the schema; 0 is an empty database."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring a database to the version of `migrations`, forth or back, each step whole or not.

    Returns: the version that it had.
    Raises: sqlite3.Error: it is damaged, or cannot be brought there; LookupError: a newer program
        left no way back.
    """
    found = version = version_of(connection)
    if found:
        _check_shape(connection)
    connection.execute(_WAYS_BACK)
    while version < len(migrations):
        step, version = migrations[version], version + 1
        remember = f"INSERT OR REPLACE INTO ways_back VALUES ({version}, {_quoted(step.down)})"
        _run(connection, f"{step.up}; {remember}", version)
    while version > len(migrations):
        row = connection.execute(
            "SELECT down FROM ways_back WHERE version = ?", (version,)
        ).fetchone()
        if row is None:
            raise LookupError(f"version {version} of the schema left no way back")
        version -= 1
        _run(connection, f"{row[0]}; DELETE FROM ways_back WHERE version > {version}", version)
    if version != found:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('shape', ?)", (_shape(connection),))
    return found


def _check_shape(connection: sqlite3.Connection) -> None:
    """Refuse tables that are not as they were made: SQLite believes a schema with a flipped bit.

    Raises: sqlite3.DatabaseError: they are damaged.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'shape'").fetchone()
    if row is None or row[0] != _shape(connection):
        raise sqlite3.DatabaseError("its schema is not the one that it was made with")


def _shape(connection: sqlite3.Connection) -> str:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")
    return hashlib.sha256(repr(rows.fetchall()).encode()).hexdigest()


def _run(connection: sqlite3.Connection, statements: str, version: int) -> None:
    try:
        connection.executescript(f"BEGIN; {statements}; PRAGMA user_version = {version}; COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.rollback()
        raise


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
