from pathlib import Path

import pytest
from structlog.testing import capture_logs

from vllmd import events
from vllmd.engine.desired import StoppedEngines


def test_stopped_survives_the_daemon_not_the_boot(tmp_path: Path) -> None:
    path = tmp_path / "stopped.json"
    StoppedEngines(path, "boot-1").add("a")
    assert "a" in StoppedEngines(path, "boot-1")
    assert "a" not in StoppedEngines(path, "boot-2")


def test_discard_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "stopped.json"
    stopped = StoppedEngines(path, "b")
    stopped.add("a")
    stopped.discard("a")
    stopped.discard("never there")
    assert "a" not in StoppedEngines(path, "b")


@pytest.mark.parametrize("content", ["", "{", '{"stopped": 3}', "[]"])
def test_garbage_is_said_and_stops_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stopped.json"
    path.write_text(content)
    with capture_logs() as logs:
        stopped = StoppedEngines(path, "b")
    assert "a" not in stopped
    assert [entry["event"] for entry in logs] == [events.STATE_FILE_UNREADABLE]


def test_add_that_cannot_be_written_raises_and_holds(tmp_path: Path) -> None:
    stopped = StoppedEngines(tmp_path / "none" / "stopped.json", "b")
    with pytest.raises(FileNotFoundError):
        stopped.add("a")
    assert "a" in stopped
