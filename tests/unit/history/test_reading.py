import os
from pathlib import Path

import pytest

from vllmd.eventlog.bus import Event
from vllmd.history.reading import EventFilter, read
from vllmd.history.store import NAME, Store
from vllmd.shim.files import UnusableFileError

EVENTS = [
    Event(100.0, "daemon.started", "info"),
    Event(200.0, "engine.exited", "error", "chat", {"code": "0"}),
    Event(300.0, "engine.exited", "error", "embed", {"code": "1"}),
    Event(400.0, "engine.held", "warning", "chat"),
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (EventFilter(), [1, 2, 3, 4]),
        (EventFilter(since=200.0), [2, 3, 4]),
        (EventFilter(until=300.0), [1, 2]),
        (EventFilter(engine="chat"), [2, 4]),
        (EventFilter(level="warning"), [2, 3, 4]),
        (EventFilter(level="error", engine="chat"), [2]),
        (EventFilter(names=("engine.e*", "daemon.started")), [1, 2, 3]),
        (EventFilter(after_id=2), [3, 4]),
        (EventFilter(limit=2), [3, 4]),
    ],
)
def test_read_returns_what_is_wanted(tmp_path: Path, wanted: EventFilter, ids: list[int]) -> None:
    store = Store(tmp_path, keep_days=1e6)
    store.open()
    store.append(EVENTS)
    assert [e.id for e in read(tmp_path / NAME, wanted)] == ids
    store.close()
    before = sorted(tmp_path.iterdir())
    assert [e.id for e in read(tmp_path / NAME, wanted)] == ids
    assert sorted(tmp_path.iterdir()) == before


def test_read_of_no_history_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a?b#c%" / NAME, EventFilter())


@pytest.mark.parametrize("fields", ['["a"]', '"a"', "1", "null", '{"a": ', "[" * 5000])
def test_row_that_was_damaged_by_hand_is_shown_as_it_is(tmp_path: Path, fields: str) -> None:
    store = Store(tmp_path, keep_days=1e6)
    store.open()
    store.append(EVENTS[:1])
    store.connection.execute("UPDATE events SET fields = ?", (fields,))
    (event,) = read(tmp_path / NAME, EventFilter())
    assert event.fields == {"unreadable": fields}
    store.close()


def test_read_of_a_fifo_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "vllmd.db")
    with pytest.raises(UnusableFileError, match="it is a FIFO"):
        read(tmp_path / "vllmd.db", EventFilter())
