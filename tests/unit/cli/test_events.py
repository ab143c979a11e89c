import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli import events, terminal
from vllmd.eventlog.bus import Event

EXITED = Event(
    1_000_000.0, "engine.exited", "error", "chat", {"code": "0", "why": "a b", "phase": None}, 3
)


def test_events_prints_one_line_each(tmp_path: Path) -> None:
    host = FakeHost()
    host.found = [EXITED]
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        where = ["--socket", str(path)]
        text = CliRunner().invoke(events.command, [*where, "chat", "--level", "error"])
        as_json = CliRunner().invoke(events.command, [*where, "--json", "--name", "engine.*"])
        wrong = CliRunner().invoke(events.command, [*where, "--since", "soon"])
    assert text.output.endswith('error    chat        engine.exited  code=0 why="a b"\n')
    assert json.loads(as_json.output)["fields"]["code"] == "0"
    assert (host.wanted[0].engine, host.wanted[0].level) == ("chat", "error")
    assert host.wanted[1].names == ("engine.*",)
    assert wrong.exit_code == 2


def test_follow_shows_each_event_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost()
    host.found = [EXITED]
    looks = threading.Semaphore(4)

    def enough(_: float) -> None:
        if not looks.acquire(blocking=False):
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", enough)
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        result = CliRunner().invoke(events.command, ["--socket", str(path), "-f"])
    assert result.output.count("engine.exited") == 1
    assert [w.after_id for w in host.wanted] == [0, 3, 3, 3, 3]


def test_event_on_a_narrow_terminal_is_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "width", lambda: 60)
    told = Event(0.0, "engine.exited", "error", "chat", {"text": "word " * 20}, 1)
    first, *more = events.describe(told)
    assert terminal.style("error  ", fg="red") in first
    assert all(line.startswith("    ") and len(line) <= 60 for line in more)
    monkeypatch.undo()
    assert len(events.describe(told)) == 1
