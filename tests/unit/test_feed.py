import io

import structlog

from vllmd import log
from vllmd.feed import BACKLOG, Event, Feed, from_json


def test_feed_hands_on_what_the_log_shows() -> None:
    feed, heard, stream = Feed(), list[Event](), io.StringIO()
    log.configure(stream, steps=[feed])
    try:
        structlog.get_logger().info("daemon.started", pid=1)  # nobody listens yet
        feed.attach(heard.append)
        structlog.get_logger().bind(engine="chat").error("engine.exited", code="0")
        structlog.get_logger().debug("not.shown")
        feed.detach()
        structlog.get_logger().info("daemon.stopped")
        feed.attach(heard.append)
    finally:
        structlog.reset_defaults()
    assert [(e.name, e.level, e.engine, dict(e.fields)) for e in heard] == [
        ("daemon.started", "info", None, {"pid": 1}),
        ("engine.exited", "error", "chat", {"code": "0"}),
        ("daemon.stopped", "info", None, {}),
    ]
    assert stream.getvalue().count("\n") == 3


def test_feed_keeps_an_exception_as_text() -> None:
    feed, heard = Feed(), list[Event]()
    feed.attach(heard.append)
    log.configure(io.StringIO(), steps=[feed])
    try:
        try:
            raise ValueError("a mistake")
        except ValueError:
            structlog.get_logger().exception("supervisor.failed")
    finally:
        structlog.reset_defaults()
    assert heard[0].level == "error"
    assert "ValueError: a mistake" in heard[0].fields["exception"]


def test_backlog_is_bounded() -> None:
    feed, heard = Feed(), list[Event]()
    for number in range(BACKLOG + 10):
        feed(None, "info", {"event": "a.b", "number": number})
    feed.attach(heard.append)
    assert [heard[0].fields["number"], len(heard)] == [10, BACKLOG]


def test_event_survives_json() -> None:
    event = Event(1.5, "engine.exited", "error", "chat", {"code": "0"}, 7)
    assert from_json(event.to_json()) == event
