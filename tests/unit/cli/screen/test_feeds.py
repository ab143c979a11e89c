from pathlib import Path

from tests.helpers.top import FakeClient
from vllmd.cli.screen.feeds import Feed, Feeds
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event

NOWHERE = Path("/nonexistent/vllmd.toml")


def ask_for(feed: Feed[int], *times: float) -> int | None:
    for at in times:
        feed.renew(at)
    return feed.value


def test_feed_asks_again_when_it_is_time() -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        return len(asked)

    feed = Feed(ask, 2.0)
    assert ask_for(feed, 0.0, 1.9) == 1
    assert ask_for(feed, 2.0) == 2


def test_feed_keeps_what_it_had_where_there_is_no_answer() -> None:
    client = FakeClient()
    feeds = Feeds(client, NOWHERE)
    feeds.gpus.renew(0.0)
    client.error = VllmdError("the daemon is busy")
    feeds.gpus.renew(10.0)
    assert (feeds.gpus.value, feeds.gpus.problem) == (client.shown["gpus"], "the daemon is busy")
    client.error = None
    feeds.gpus.renew(20.0)
    assert feeds.gpus.problem is None


def test_events_are_asked_from_the_last_one_on() -> None:
    client = FakeClient()
    feeds = Feeds(client, NOWHERE)
    client.found = [Event(1.0, "daemon.started", "info", "", {}, 1)]
    feeds.events.renew(0.0)
    client.found.append(Event(2.0, "daemon.stopped", "info", "", {}, 2))
    feeds.events.renew(10.0)
    assert [event.id for event in feeds.events.value or ()] == [1, 2]


def test_log_is_its_newest_lines_and_those_to_come(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_text("one\n")
    feeds = Feeds(FakeClient(), NOWHERE)
    feed = feeds.log(str(log))
    assert feeds.log(str(log)) is feed
    feed.renew(0.0)
    before = feed.value
    feed.renew(1.0)
    assert feed.value is before  # nothing is drawn again
    with log.open("a") as file:
        file.write("ERROR two\n")
    feed.renew(2.0)
    assert [line.text for line in feed.value or ()] == ["one", "ERROR two"]


def test_report_of_an_engine_is_that_of_why() -> None:
    client = FakeClient()
    feeds = Feeds(client, NOWHERE)
    engine = {"name": "chat", "problem": None}
    assert feeds.report(engine) is None
    fields = {"requested": False, "text": "exited with code 1", "cause": "lora_rank"}
    client.found = [Event(1.0, "engine.exited", "error", "chat", fields, 1)]
    feeds.told.renew(0.0)
    report = feeds.report(engine)
    assert report is not None
    assert "chat" in report["what"]
