from pathlib import Path

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.control.client import ControlClient
from vllmd.control.events import events_of
from vllmd.eventlog.bus import Event
from vllmd.history.reading import EventFilter


def test_events_of_asks_for_what_is_wanted_and_reads_it(tmp_path: Path) -> None:
    host = FakeHost()
    host.found = [Event(1.5, "engine.ready", "info", "chat", {"pid": 7}, 3)]
    wanted = EventFilter(since=1.0, engine="chat", names=("engine.*", "gpu.*"), limit=5)
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        assert events_of(ControlClient(path), wanted) == host.found
        assert events_of(ControlClient(path), EventFilter()) == host.found
    assert host.wanted == [wanted, EventFilter()]
