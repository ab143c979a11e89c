import contextlib
import errno
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.helpers.site import wait_for
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.base import TypedEvent
from vllmd.events.history import HistoryFailed
from vllmd.events.traces import RequestSlow
from vllmd.history import writer
from vllmd.history.reading import EventFilter, read
from vllmd.history.store import NAME, Store
from vllmd.history.writer import HistoryWriter
from vllmd.util.parts import PartRunner


def event(number: int = 0) -> Event:
    return Event(1e10, "engine.exited", "error", "chat", {"number": number})


def written(folder: Path) -> list[int]:
    return [e.fields["number"] for e in read(folder / NAME, EventFilter())]


def test_history_writes_in_order_and_closes(tmp_path: Path) -> None:
    history = HistoryWriter(Store(tmp_path))
    history.put(event(0))  # before it runs
    history.start()
    for number in range(1, 700):
        history.put(event(number))
    assert history.flush(5)
    assert written(tmp_path) == list(range(700))
    assert (history.written, history.dropped, history.problem) == (700, 0, None)
    assert history.bytes > 0
    history.put(event(700))
    history.close()
    assert written(tmp_path)[-1] == 700
    assert Store(tmp_path).open() == []


def test_room_comes_back_with_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUEUE", 10)
    history = HistoryWriter(Store(tmp_path))
    history.start()
    for begin in range(0, 50, 10):
        for number in range(begin, begin + 10):
            history.put(event(number))
        assert history.flush(20)
    history.close()
    assert (history.written, history.dropped) == (50, 0)
    assert written(tmp_path) == list(range(50))


def test_what_is_for_the_journal_only_is_not_kept(tmp_path: Path) -> None:
    history = HistoryWriter(Store(tmp_path))
    history.start()
    history.put(Event(1e10, RequestSlow.name, "info", "chat"))
    history.put(event(1))
    history.close()
    assert written(tmp_path) == [1]


def test_full_disk_drops_what_does_not_fit_counts_it_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "QUEUE", 10)
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    full = threading.Event()
    full.set()
    append = Store.append

    def failing(store: Store, batch: list[Event]) -> None:
        if full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        append(store, batch)

    monkeypatch.setattr(Store, "append", failing)
    told: list[TypedEvent] = []
    history = HistoryWriter(Store(tmp_path), report=told.append)
    for number in range(15):
        history.put(event(number))
    history.start()  # now: the thread must not take one before all have come
    wait_for("the failure", lambda: told and history.problem)
    assert "disk is full" in (history.problem or "")
    assert [e.name for e in told if e.level == "error"] == [HistoryFailed.name]  # said once
    full.clear()
    wait_for("the rest", lambda: history.written == 10)
    assert history.dropped == 5
    history.close()
    assert written(tmp_path) == list(range(10))


def test_close_of_a_history_that_cannot_be_opened_returns(tmp_path: Path) -> None:
    told: list[TypedEvent] = []
    (tmp_path / "missing").touch()  # where the folder is to be
    history = HistoryWriter(Store(tmp_path / "missing"), report=told.append)
    history.start()
    history.put(event())
    wait_for("the failure", lambda: told)
    assert not history.flush(0.05)
    history.put(event())
    history.close()
    first, *_, last = (each.problem for each in told if isinstance(each, HistoryFailed))
    assert str(tmp_path) in first
    assert last.endswith("; 2 events before the end are not in it")
    assert history.dropped == 2


def test_report_by_default_goes_to_the_log(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    history = HistoryWriter(Store(tmp_path))
    history.start()
    assert history.flush(5)
    history.close()
    assert (tmp_path / f"{NAME}.unusable").exists()


def test_event_whose_fields_are_no_json_is_kept_as_it_shows(tmp_path: Path) -> None:
    history = HistoryWriter(Store(tmp_path))
    history.start()
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    history.put(Event(1e10, "a.b", "info", None, {"by": {(1, 2): 3}}))
    history.put(Event(1e10, "a.b", "info", None, {"deep": {"x": deep}}))
    history.put(event(3))
    history.close()
    first, second, third = read(tmp_path / NAME, EventFilter())
    assert "(1, 2): 3" in first.fields["unreadable"]
    assert "RecursionError" in second.fields["unreadable"]
    assert third.fields == {"number": 3}


UNFIT = [
    TypeError("no JSON"),
    KeyError("x"),
    MemoryError(),
    RuntimeError("a mistake"),
    sqlite3.IntegrityError("NOT NULL constraint failed"),
    UnicodeEncodeError("utf-8", "\udc80", 0, 1, "surrogates not allowed"),
]


@pytest.mark.parametrize("error", UNFIT, ids=lambda error: type(error).__name__)
def test_event_that_cannot_be_written_is_counted_and_the_others_are_written(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Store.append

    def raising(store: Store, batch: list[Event]) -> None:
        if any(each.fields["number"] == 3 for each in batch):
            raise error
        append(store, batch)

    monkeypatch.setattr(Store, "append", raising)
    parts = PartRunner()
    history = HistoryWriter(Store(tmp_path), parts=parts)
    for number in range(6):
        history.put(event(number))
    history.start()
    assert history.flush(5)
    assert (history.written, history.dropped, history.problem) == (5, 1, None)
    history.close()
    assert written(tmp_path) == [0, 1, 2, 4, 5]
    assert parts.failures() == {"history": 1}


def test_mistake_in_the_thread_is_told_and_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    left = [RuntimeError("a mistake"), KeyError("another")]
    prune = Store.prune_if_due

    def failing(store: Store) -> None:
        if left:
            raise left.pop()
        prune(store)

    monkeypatch.setattr(Store, "prune_if_due", failing)
    parts, told = PartRunner(), list[TypedEvent]()
    history = HistoryWriter(Store(tmp_path), report=told.append, parts=parts)
    history.start()
    history.put(event(1))
    wait_for("both mistakes", lambda: parts.failures()["history"] == 2)
    history.put(event(2))
    assert history.flush(5)
    assert history.problem is None
    history.close()
    assert set(written(tmp_path)) == {1, 2}
    assert told[0].name == HistoryFailed.name


def test_file_that_is_deleted_is_begun_anew_and_said_once(tmp_path: Path) -> None:
    told: list[TypedEvent] = []
    history = HistoryWriter(Store(tmp_path / "state"), report=told.append)
    history.start()
    history.put(event())
    assert history.flush(5)
    shutil.rmtree(tmp_path / "state")
    history.put(event())
    assert len(history.read(EventFilter())) == 1
    assert history.problem is None
    assert [each.name for each in told] == [HistoryFailed.name]
    assert isinstance(told[0], HistoryFailed)
    assert "it was deleted, replaced or truncated" in told[0].problem
    (tmp_path / "state" / NAME).unlink()
    assert history.read(EventFilter()) == [], "a reader notices it too"
    history.close()
    assert (history.written, history.dropped) == (2, 0)


def test_file_that_cannot_be_opened_again_is_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deleted file that is held open takes its room on the disk."""
    monkeypatch.setattr(writer, "RETRY_S", 0.05)
    folder = tmp_path / "state"
    history = HistoryWriter(Store(folder))
    history.start()
    history.put(event())
    assert history.flush(5)
    shutil.rmtree(folder)
    folder.touch()  # no folder can be made there
    history.put(event())
    wait_for(
        "the problem", lambda: history.problem is not None and "File exists" in history.problem
    )
    assert not [path for path in open_paths() if path.startswith(f"{folder}/{NAME}")]
    folder.unlink()
    assert history.flush(5)
    history.close()
    assert (history.written, history.dropped) == (2, 0)


def test_disk_that_refuses_is_asked_again_after_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_S", 1000.0)
    asked: list[None] = []

    def refuse(_: Store) -> None:
        asked.append(None)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "open", refuse)
    history = HistoryWriter(Store(tmp_path))
    history.start()
    history.put(event())
    wait_for("the problem", lambda: "disk I/O error" in str(history.problem))
    assert not history.flush(0.2)
    assert len(asked) <= 2
    history.close()


def test_flush_waits_for_no_further_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP_S", 1000.0)
    history = HistoryWriter(Store(tmp_path))
    history.start()
    assert history.flush(20)
    history.close()


def test_limit_is_kept_from_then_on(tmp_path: Path) -> None:
    history = HistoryWriter(Store(tmp_path, max_bytes=1 << 30))
    history.start()
    for number in range(3000):
        history.put(event(number))
    assert history.flush(20)
    history.limit(max_bytes=1 << 18, keep_days=1)
    history.put(event(3000))
    assert history.flush(20)
    history.close()
    kept = read(tmp_path / NAME, EventFilter(limit=10_000))
    assert len(kept) < 3001
    assert kept[-1].fields == {"number": 3000}


def open_paths() -> list[str]:
    """Return what this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return found


async def test_read_aside_of_a_disk_that_hangs_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(path: str, *_: object) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "no answer", path)

    history = HistoryWriter(Store(tmp_path))
    monkeypatch.setattr(writer, "run_within", hangs)
    with pytest.raises(VllmdError, match=r"vllmd.db cannot be read: no answer"):
        await history.read_aside(EventFilter())
