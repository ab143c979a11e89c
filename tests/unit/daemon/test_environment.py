from vllmd.daemon.environment import Environment
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineStateChanged


def test_surroundings_by_default_are_those_of_a_foreground_run() -> None:
    one, other = Environment(), Environment()
    assert not one.leaves_engines
    assert one.notifier.watchdog_s is None
    assert one.feed is not other.feed
    assert one.reloads is not other.reloads
    assert one.traces is not other.traces


def test_listen_hands_events_to_all_that_outlives_a_daemon() -> None:
    environment = Environment()
    heard: list[Event] = []
    environment.traces.starts["chat"] = {"Load model": 1.0}
    environment.listen(heard=heard.append)
    change = {"event": EngineStateChanged.name, "engine": "chat", "state": "starting"}
    environment.feed(None, "info", change)
    assert [event.name for event in heard] == [EngineStateChanged.name]
    assert environment.traces.starts == {}
