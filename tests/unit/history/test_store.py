import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent
from vllmd.events.history import (
    HistoryDowngraded,
    HistoryIncomplete,
    HistoryInterrupted,
    HistorySetAside,
)
from vllmd.history.reading import EventFilter, read
from vllmd.history.schema import MIGRATIONS, Migration, migrate
from vllmd.history.store import NAME, SYNCHRONOUS, Store, encode
from vllmd.util.units import DAY_S, MIB

FREE_PAGES = 39
"""Where the file's header counts free pages. Source: SQLite, Database File Format, 1.3."""


def event(name: str = "engine.exited", level: str = "error", **fields: object) -> Event:
    return Event(time.time(), name, level, "chat", fields)


def all_of(folder: Path) -> list[Event]:
    return read(folder / NAME, EventFilter(limit=10**6))


def test_append_is_there_for_a_reader_and_after_an_orderly_end(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.open() == []
    store.append([event(code="0", killed=["Worker (pid 7)"]), event("engine.held")])
    (first, second) = all_of(tmp_path)
    assert (first.name, first.engine, first.id) == ("engine.exited", "chat", 1)
    assert first.fields == {"code": "0", "killed": ["Worker (pid 7)"]}
    assert second.id == 2
    store.close()
    assert not (tmp_path / f"{NAME}-wal").exists()
    assert len(all_of(tmp_path)) == 2
    assert Store(tmp_path).open() == []


def test_append_waits_for_the_disk_at_each_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.history.store.SYNCHRONOUS", SYNCHRONOUS)  # other tests do not wait
    store = Store(tmp_path)
    store.open()

    def asked(what: str) -> str:
        return str(store.connection.execute(f"PRAGMA {what}").fetchone()[0])

    # With a log, SQLite's NORMAL (1) brings it to the disk at checkpoints only: a power cut takes
    # commits. FULL is 2, EXTRA is 3. https://www.sqlite.org/pragma.html#pragma_synchronous
    assert asked("journal_mode") == "wal"
    assert int(asked("synchronous")) >= 2
    store.close()


def test_open_after_a_crash_says_since_when(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    last = event()
    store.append([last])
    store.close_at_once()
    (told,) = Store(tmp_path).open()
    assert isinstance(told, HistoryInterrupted)
    assert told.last_event_at == pytest.approx(last.at)


def test_open_after_a_lost_log_says_how_many_events_are_missing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    store.append([event(number=1)])
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store.append([event(number=2)])
    store.append([event(number=3)])
    whole = (tmp_path / f"{NAME}-wal").read_bytes()
    for suffix in ("", "-wal", ".mark"):  # what a power cut leaves: the connection never closed
        content = (tmp_path / f"{NAME}{suffix}").read_bytes()
        cut = tmp_path / "cut"
        cut.mkdir(exist_ok=True)
        (cut / f"{NAME}{suffix}").write_bytes(content)
    (cut / f"{NAME}-wal").write_bytes(whole[: len(whole) - 4200])
    (told,) = Store(cut).open()
    assert isinstance(told, HistoryIncomplete)
    assert (told.level, told.missing) == ("error", 1)
    assert [e.fields["number"] for e in all_of(cut)] == [1, 2]


@pytest.mark.parametrize(
    "damage", ["garbage", "middle", "count", "empty", "newer without a way back"]
)
def test_open_sets_aside_what_cannot_be_used(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    store.open()
    store.append([event(text="x" * 1000) for _ in range(500)])
    if damage.startswith("newer"):
        store.connection.execute("PRAGMA user_version = 99")
    store.close()
    path = tmp_path / NAME
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        path.write_bytes(b"no database at all" * 100)
    elif damage == "middle":
        content[8192:40960] = b"\xff" * (40960 - 8192)
        path.write_bytes(content)
    elif damage == "count":
        content[FREE_PAGES] = 9
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    again = Store(tmp_path)
    told = again.open()
    again.append([event(number=1)])
    assert all_of(tmp_path)[-1].fields == {"number": 1}
    if damage == "empty":  # an empty file is an empty database; what it held is missed
        assert [e.missing for e in told if isinstance(e, HistoryIncomplete)] == [500]
        assert len(told) == 1
    else:
        assert [e.name for e in told] == [HistorySetAside.name]
        assert (tmp_path / f"{NAME}.unusable").exists()


@pytest.mark.long
@example(b"\t\t  _0", 3817)  # a schema that SQLite still believes
@example(b"\x03", 18)  # a version of the format that SQLite only reads
@given(st.binary(max_size=300), st.integers(0, 9000))
def test_open_survives_any_damage(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    store = Store(folder)
    store.open()
    store.append([event(), event()])
    store.close()
    content = bytearray((folder / NAME).read_bytes())
    content[at : at + len(noise)] = noise
    (folder / NAME).write_bytes(content)
    again = Store(folder)
    again.open()
    again.append([event("a.b")])
    assert all_of(folder)[-1].name == "a.b"
    again.close()


def test_downgrade_goes_on_with_the_same_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    store.open()
    store.append([event(number=1)])
    store.close()
    monkeypatch.setattr("vllmd.history.schema.MIGRATIONS", MIGRATIONS[:1])
    monkeypatch.setattr("vllmd.history.schema.migrate.__defaults__", (MIGRATIONS[:1],))
    older = Store(tmp_path)
    assert [e.name for e in older.open()] == [HistoryDowngraded.name]
    assert [e.fields for e in all_of(tmp_path)] == [{"number": 1}]


def test_downgrade_to_a_table_that_takes_no_event_is_set_aside_at_once(tmp_path: Path) -> None:
    """It is not found out with the first event, which would be lost."""
    column = "ALTER TABLE events ADD COLUMN more TEXT CHECK (more IS NOT NULL)"
    newer = (*MIGRATIONS, Migration(up=column, down="SELECT 'it stays'"))
    connection = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    migrate(connection, newer)
    connection.close()
    store = Store(tmp_path)
    assert [e.name for e in store.open()] == [HistorySetAside.name]
    store.append([event(number=1)])
    assert [e.fields for e in all_of(tmp_path)] == [{"number": 1}]


@pytest.mark.long
def test_prune_by_size_takes_routine_before_failures(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=MIB)
    store.open()
    store.append([event(text="the first failure")])
    most = 0
    for number in range(100):
        store.append([event("engine.noise", "info", text="x" * 500, n=number) for _ in range(100)])
        most = max(most, store.used_bytes())
        store.prune_if_due()
        size = sum(p.stat().st_size for p in tmp_path.glob(f"{NAME}*"))
        assert size <= MIB
    assert MIB / 2 < most < MIB / 2 + 100_000  # the log beside the file takes up to a half
    kept = all_of(tmp_path)
    assert kept[0].fields == {"text": "the first failure"}
    assert kept[-1].fields["n"] == 99
    assert store.open is not None
    store.close()
    assert Store(tmp_path).open() == []  # what was removed on purpose is not missed


def test_prune_a_storm_of_failures_keeps_the_newest(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=MIB)
    store.open()
    for number in range(30):
        store.append([event(text="x" * 500, n=number) for _ in range(100)])
        store.prune()
    kept = all_of(tmp_path)
    assert kept[-1].fields["n"] == 29
    assert len(kept) < 3000


def test_prune_by_age_is_by_the_time_that_vllmd_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: ran[0])
    store = Store(tmp_path, keep_days=90)
    store.open()
    store.append([event("old.one")])
    for _ in range(45):
        ran[0] += DAY_S
        store.prune_if_due()
    store.append([event("new.one")])
    store.close()
    ran[0] = 7.0  # another boot
    again = Store(tmp_path, keep_days=90)
    assert again.open() == []
    for _ in range(46):
        assert len(all_of(tmp_path)) == 2
        ran[0] += DAY_S
        again.prune_if_due()
    assert [e.name for e in all_of(tmp_path)] == ["new.one"]


@pytest.mark.long
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(-500, 500), min_size=1, max_size=6))
def test_prune_removes_nothing_because_the_clock_was_set(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        wall, ran = [1_700_000_000.0], [0.0]
        patch.setattr(time, "time", lambda: wall[0])
        patch.setattr(time, "monotonic", lambda: ran[0])
        store = Store(folder, keep_days=90)
        store.open()
        for number, jump in enumerate(jumps):
            store.append([event(f"event.{number}")])
            wall[0] += jump * DAY_S
            ran[0] += 60.0
            store.prune()
            if number % 2:
                store.close()
                store = Store(folder, keep_days=90)
                store.open()
        store.close()
        assert [e.name for e in all_of(folder)] == [f"event.{n}" for n in range(len(jumps))]


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"x" * 5000)


def cut(path: Path) -> None:
    os.truncate(path, 0)


def delete_its_log(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("harm", [delete, replace, cut, delete_its_log])
def test_in_place_notices_what_was_done_to_the_file(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    store = Store(tmp_path)
    store.open()
    store.append([event()])
    assert store.in_place()
    store.prune()
    assert store.in_place()
    harm(tmp_path / NAME)
    assert not store.in_place()
    store.close_at_once()


def test_mark_that_is_a_fifo_is_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"{NAME}.mark")
    store = Store(tmp_path)
    store.open()
    store.append([event()])
    store.close()
    assert len(all_of(tmp_path)) == 1


def test_append_that_fails_writes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    store.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.Error):
        store.append([event()])
    assert all_of(tmp_path) == []


def test_append_after_one_that_failed_half_way_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    with pytest.raises(sqlite3.Error):
        store.append([event(number=1), Event(object(), "x", "info", None, {})])  # type: ignore[arg-type]
    store.append([event(number=2)])
    assert [e.fields for e in all_of(tmp_path)] == [{"number": 2}]


def test_encode_cuts_what_is_too_long() -> None:
    short = encode({"text": "x" * 10_000, "lines": ["y" * 10_000] * 100, "at": Path("/a")})
    assert len(short) < 20_000
    assert json.loads(short)["too_long"]
    assert json.loads(encode({"at": Path("/a"), "n": 1.5})) == {"at": "/a", "n": 1.5}


def test_open_again_after_a_failure_of_our_own_is_no_crash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    store.append([event()])
    store.close_at_once()
    assert store.open() == []


@pytest.mark.parametrize(
    ("code", "passing"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_CANTOPEN, True),
        (sqlite3.SQLITE_IOERR | 13 << 8, True),
        (sqlite3.SQLITE_READONLY | 6 << 8, True),
        (sqlite3.SQLITE_READONLY, False),
        (sqlite3.SQLITE_CONSTRAINT, False),
        (sqlite3.SQLITE_CORRUPT, False),
        (sqlite3.SQLITE_NOTADB, False),
    ],
)
def test_open_a_file_is_set_aside_if_it_is_broken_and_not_if_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, passing: bool
) -> None:
    first = Store(tmp_path)
    first.open()
    first.append([event()])
    first.close()
    begin = Store._begin
    errors = [sqlite3.OperationalError("not now")]
    errors[0].sqlite_errorcode = code

    def fails_once(store: Store) -> list[TypedEvent]:
        if errors:
            raise errors.pop()
        return begin(store)

    monkeypatch.setattr(Store, "_begin", fails_once)
    store = Store(tmp_path)
    if passing:
        with pytest.raises(sqlite3.OperationalError):
            store.open()
    told = store.open()
    store.close()
    assert [each.name for each in told] == ([] if passing else [HistorySetAside.name])
    assert len(all_of(tmp_path)) == passing


def test_encode_what_cannot_even_be_shown_says_what_it_is() -> None:
    class Fields:
        def items(self) -> None:
            raise ValueError("no items")

        def __repr__(self) -> str:
            raise ValueError("no text")

    assert json.loads(encode(Fields())) == {
        "unreadable": "ValueError('no items'): a Fields that cannot be shown"
    }


def test_prune_of_an_empty_file_over_its_limit_ends(tmp_path: Path) -> None:
    store = Store(tmp_path, max_bytes=1024)
    store.open()
    assert store.used_bytes() > 1024
    store.prune()
