import time
from pathlib import Path

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli.failures import failures_told, stories
from vllmd.control.client import ControlClient
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited


def test_failures_told_are_made_into_the_stories_that_the_daemon_tells(tmp_path: Path) -> None:
    host = FakeHost()
    for name in ("chat", "embed"):
        fields = {"requested": False, "text": "ended by SIGKILL, unasked", "cause": "killed"}
        host.found.append(Event(time.time() - 60, EngineExited.name, "error", name, fields, 1))
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        client = ControlClient(path)
        told = failures_told(client, tmp_path / "none.toml")
        assert host.wanted[-1].names == narrative.NAMES
        assert stories(told) == client.why()
    assert [each["engine"] for each in stories(told)] == ["chat", "embed"]
