import asyncio
import io
import threading

import structlog

from vllmd.eventlog import log
from vllmd.eventlog.bus import BACKLOG, Event, EventBus, from_json
from vllmd.util.parts import PartRunner


def test_feed_hands_on_what_the_log_shows() -> None:
    feed, heard, stream = EventBus(), list[Event](), io.StringIO()
    log.configure(stream, steps=[feed])
    try:
        structlog.get_logger().info("daemon.started", pid=1)  # nobody listens yet
        feed.attach({"heard": heard.append})
        structlog.get_logger().bind(engine="chat").error("engine.exited", code="0")
        structlog.get_logger().debug("not.shown")
        feed.detach()
        structlog.get_logger().info("daemon.stopped")
        feed.attach({"heard": heard.append})
    finally:
        structlog.reset_defaults()
    assert [(e.name, e.level, e.engine, dict(e.fields)) for e in heard] == [
        ("daemon.started", "info", None, {"pid": 1}),
        ("engine.exited", "error", "chat", {"code": "0"}),
        ("daemon.stopped", "info", None, {}),
    ]
    assert stream.getvalue().count("\n") == 3


def test_feed_keeps_an_exception_as_text() -> None:
    feed, heard = EventBus(), list[Event]()
    feed.attach({"heard": heard.append})
    log.configure(io.StringIO(), steps=[feed])
    try:
        try:
            raise ValueError("a mistake")
        except ValueError:
            structlog.get_logger().exception("part.failed")
    finally:
        structlog.reset_defaults()
    assert heard[0].level == "error"
    assert "ValueError: a mistake" in heard[0].fields["exception"]


def test_backlog_is_bounded() -> None:
    feed, heard = EventBus(), list[Event]()
    for number in range(BACKLOG + 10):
        feed(None, "info", {"event": "a.b", "number": number})
    feed.attach({"heard": heard.append})
    assert [heard[0].fields["number"], len(heard)] == [10, BACKLOG]


def test_event_survives_json() -> None:
    event = Event(1.5, "engine.exited", "error", "chat", {"code": "0"}, 7)
    assert from_json(event.to_json()) == event


def entry(name: str) -> dict[str, str]:
    return {"event": name, "level": "info"}


async def test_what_a_thread_logs_is_heard_in_the_event_loop() -> None:
    feed, heard = EventBus(), list[tuple[str, int]]()
    feed.attach({"heard": lambda event: heard.append((event.name, threading.get_ident()))})
    thread = threading.Thread(target=feed, args=(None, "info", entry("log.not_compressed")))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert heard == [("log.not_compressed", threading.get_ident())]


def test_what_a_thread_logs_after_the_loop_has_ended_is_kept_for_the_next() -> None:
    feed, heard = EventBus(), list[Event]()

    async def listen() -> None:
        feed.attach({"heard": heard.append})

    asyncio.run(listen())
    thread = threading.Thread(target=feed, args=(None, "info", entry("history.failed")))
    thread.start()
    thread.join()
    assert heard == []
    asyncio.run(listen())
    assert [event.name for event in heard] == ["history.failed"]


def test_listener_that_raises_is_counted_and_nobody_else_notices() -> None:
    feed, parts, heard = EventBus(), PartRunner(), list[Event]()

    def raises(_: Event) -> None:
        raise KeyError("fields")

    log.configure(io.StringIO(), steps=[feed])
    try:
        feed.attach({"bad": raises, "heard": heard.append, "worse": raises}, parts.note)
        for _ in range(3):
            structlog.get_logger().info("engine.spawned")
    finally:
        structlog.reset_defaults()
    # telling of one that fails is heard by the others, of whom one fails too; told once a minute
    assert parts.failures() == {"events:bad": 3, "events:worse": 4}
    assert [e.name for e in heard].count("engine.spawned") == 3
    assert {e.fields["part"] for e in heard if e.name == "part.failed"} == {
        "events:bad",
        "events:worse",
    }
