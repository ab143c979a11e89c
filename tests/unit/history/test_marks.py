"""Marks: every event that a person looks for on a graph, none lost between two points of it."""

import asyncio
from pathlib import Path

import pytest

from tests.helpers.metrics import values
from vllmd.eventlog.bus import Event
from vllmd.history.marks import KEPT, Mark, RecentMarks, mark_of
from vllmd.history.metrics import MarksCollector
from vllmd.history.store import Store
from vllmd.history.writer import HistoryWriter


def ended(at: float, **fields: object) -> Event:
    return Event(at, "engine.exited", "error", "chat", {"code": "1", "requested": False, **fields})


@pytest.mark.parametrize(
    ("event", "mark"),
    [
        (ended(5.0, cause="gpu_out_of_memory"), Mark(5.0, "failed", "chat", "gpu_out_of_memory")),
        (ended(5.0), Mark(5.0, "failed", "chat", "1")),
        (ended(5.0, requested=True), Mark(5.0, "stopped", "chat")),
        (
            Event(6.0, "engine.state_changed", "info", "chat", {"state": "ready"}),
            Mark(6.0, "ready", "chat"),
        ),
        (Event(6.0, "engine.state_changed", "info", "chat", {"state": "loading"}), None),
        (
            Event(7.0, "gpu.xid_seen", "error", None, {"xid": 79, "gpu": "2"}),
            Mark(7.0, "xid", "", "79 on GPU 2"),
        ),
        (
            Event(7.0, "gpu.xid_seen", "error", None, {"xid": 79, "gpu": None}),
            Mark(7.0, "xid", "", "79"),
        ),
        (
            Event(8.0, "lora.failed", "warning", "chat", {"adapter": "sql"}),
            Mark(8.0, "adapter_failed", "chat", "sql"),
        ),
        (
            Event(9.0, "daemon.started", "info", None, {"version": "0.2.0"}),
            Mark(9.0, "daemon_started", "", "0.2.0"),
        ),
        (
            Event(9.0, "engine.state_changed", "info", "chat", {"state": "sleeping"}),
            Mark(9.0, "asleep", "chat"),
        ),
        (
            Event(9.0, "weights.ended", "error", "chat", {"code": "SIGKILL", "requested": False}),
            Mark(9.0, "weights_lost", "chat", "SIGKILL"),
        ),
        (Event(9.0, "weights.ended", "error", "chat", {"code": "0", "requested": True}), None),
        (
            Event(9.0, "weights.rank_lost", "error", "chat", {"ranks": 2, "left": 1}),
            Mark(9.0, "weights_lost", "chat", "1 of 2 left"),
        ),
        (Event(9.0, "weights.ready", "info", "chat"), Mark(9.0, "weights_ready", "chat")),
        (Event(9.0, "request.slow", "info", "chat"), None),
    ],
)
def test_mark_of_an_event_says_what_it_was(event: Event, mark: Mark | None) -> None:
    assert mark_of(event) == mark


def test_every_end_of_a_restart_loop_is_kept_until_a_week_looks_again() -> None:
    marks = RecentMarks()
    for number in range(100):
        marks.put(ended(float(number)))
    found = {place: mark.at for place, mark in marks.placed()}
    assert sorted(found) == list(range(KEPT))
    assert sorted(found.values()) == [float(n) for n in range(100 - KEPT, 100)]
    marks.put(ended(100.0))
    after = {place: mark.at for place, mark in marks.placed()}
    assert {place for place in after if after[place] != found[place]} == {100 % KEPT}


def test_one_engine_takes_no_place_of_another_or_of_the_host() -> None:
    marks = RecentMarks()
    marks.put(Event(1.0, "daemon.started", "info", None, {"version": "0.2.0"}))
    for number in range(100):
        marks.put(ended(float(number)))
    assert Mark(1.0, "daemon_started", "", "0.2.0") in [mark for _, mark in marks.placed()]


def test_what_an_earlier_daemon_saw_is_marked_once(tmp_path: Path) -> None:
    history = HistoryWriter(Store(tmp_path))
    history.start()
    before, both = ended(1e9), ended(1e9 + 50)
    for each in (before, both):
        history.put(each)
    marks = RecentMarks()
    marks.put(both)
    asyncio.run(marks.remember(history))
    history.close()
    assert [mark.at for _, mark in marks.placed()] == [1e9, 1e9 + 50]


def test_history_that_cannot_be_read_costs_no_mark(tmp_path: Path) -> None:
    marks = RecentMarks()
    marks.put(ended(5.0))
    asyncio.run(marks.remember(HistoryWriter(Store(tmp_path / "nowhere"))))
    assert [mark.at for _, mark in marks.placed()] == [5.0]


def test_page_has_the_time_of_each() -> None:
    marks = RecentMarks()
    marks.put(ended(5.5, cause="killed"))
    found = values(MarksCollector(marks).collect())
    assert found == {("vllmd_event_timestamp_seconds", "killed", "failed", "0", "chat"): 5.5}
