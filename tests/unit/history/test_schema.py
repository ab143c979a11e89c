import sqlite3
from pathlib import Path

import pytest

from vllmd.history.schema import MIGRATIONS, Migration, migrate, version_of

NEWER = (
    *MIGRATIONS,
    Migration(
        up="ALTER TABLE events ADD COLUMN host TEXT DEFAULT 'it''s'; CREATE TABLE more (a)",
        down="ALTER TABLE events DROP COLUMN host; DROP TABLE more",
    ),
)


def shape(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def made(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_migrate_forth_and_back_leaves_the_same_and_keeps_the_rows(tmp_path: Path) -> None:
    connection = made(tmp_path / "a.db")
    assert migrate(connection) == 0
    before = shape(connection)
    connection.execute("INSERT INTO events VALUES (1, 2.0, 'a.b', 'info', NULL, '{}')")
    assert migrate(connection, NEWER) == len(MIGRATIONS)
    assert "host" in str(shape(connection))
    assert migrate(connection) == len(NEWER)  # this program does not know what it undoes
    assert shape(connection) == before
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (1,)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_every_migration_has_a_way_back(tmp_path: Path, version: int) -> None:
    connection = made(tmp_path / "a.db")
    migrate(connection, MIGRATIONS[:version])
    before = shape(connection)
    migrate(connection)
    migrate(connection, MIGRATIONS[:version])
    assert shape(connection) == before
    assert version_of(connection) == version


def test_migrate_without_a_way_back_says_so(tmp_path: Path) -> None:
    connection = made(tmp_path / "a.db")
    migrate(connection)
    connection.execute("PRAGMA user_version = 9")
    with pytest.raises(LookupError, match="version 9"):
        migrate(connection)


def test_migrate_that_fails_midway_changes_nothing(tmp_path: Path) -> None:
    connection = made(tmp_path / "a.db")
    migrate(connection)
    before = shape(connection)
    with pytest.raises(sqlite3.Error):
        migrate(connection, (*MIGRATIONS, Migration("CREATE TABLE more (a); NONSENSE", "")))
    assert shape(connection) == before
    assert version_of(connection) == len(MIGRATIONS)
