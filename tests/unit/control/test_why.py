import time
from pathlib import Path

import pytest

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.eventlog import narrative
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited


def test_why_is_the_story_of_each_engine(tmp_path: Path) -> None:
    host = FakeHost()
    fields = {"requested": False, "text": "ended by SIGKILL, unasked", "cause": "killed"}
    host.found.append(Event(time.time() - 5, EngineExited.name, "error", "chat", fields, 1))
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        told = ControlClient(path).why()
        assert told is not None
        (story,) = told
        assert (story["engine"], story["cause"]) == ("chat", "killed")
        assert story["what"].startswith("chat failed")
        (wanted,) = host.wanted
        assert (wanted.names, wanted.limit) == (narrative.NAMES, narrative.MAX_EVENTS)
        assert time.time() - (wanted.since or 0) >= narrative.LOOK_BACK_S
        host.error = VllmdError("the disk does not answer")
        with pytest.raises(VllmdError, match="the disk does not answer"):
            ControlClient(path).why()
