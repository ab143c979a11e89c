import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from starlette.responses import Response
from starlette.routing import Route

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli.why import command
from vllmd.control import why as why_route
from vllmd.errors import UnknownEngineError
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited
from vllmd.history.store import Store


def why(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_why_tells_the_story_of_each_engine(tmp_path: Path) -> None:
    host = FakeHost()
    for name in ("chat", "embed"):
        fields = {"requested": False, "text": "ended by SIGKILL unexpectedly", "cause": "killed"}
        host.found.append(Event(time.time(), EngineExited.name, "error", name, fields, 1))
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        where = ("--socket", str(path))
        both, one = why(*where).output, why(*where, "embed").output
        as_json = json.loads(why(*where, "--json").output)
        with pytest.raises(UnknownEngineError, match="'other'; there is: chat, embed"):
            why(*where, "other")
        host.found.clear()
        assert why(*where).output == "Nothing has happened to any engine yet.\n"
    assert "chat failed" in both
    assert "embed failed" in both
    assert "chat" not in one
    assert [each["cause"] for each in as_json] == ["killed", "killed"]


def test_why_says_that_the_newest_lines_are_not_in_the_log(tmp_path: Path) -> None:
    host = FakeHost()
    host.log_problems["chat"] = "No space left on device"
    fields = {"requested": False, "text": "ended by SIGKILL, unasked", "cause": "killed"}
    host.found.append(Event(time.time(), EngineExited.name, "error", "chat", fields, 1))
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        words = " ".join(why("--socket", str(path)).output.split())
    assert "Besides, its log is not written: No space left on device; the newest" in words


def test_why_names_what_keeps_an_engine_from_starting_now(tmp_path: Path) -> None:
    host = FakeHost()
    fields = {"requested": False, "text": "exited with code 1", "cause": "port_in_use"}
    host.found.append(Event(time.time(), EngineExited.name, "error", "chat", fields, 1))
    problem = "port 8000 is in use by python3 -m http.server (pid 7)"
    with control_socket(tmp_path / "c.sock", FakeEngine(problem=problem), host=host) as path:
        words = " ".join(why("--socket", str(path)).output.split())
    assert f"Evidence {problem}" in words


def test_why_without_a_daemon_tells_it_of_the_history(tmp_path: Path) -> None:
    config = tmp_path / "vllmd.toml"
    config.write_text(f'[daemon]\nstate_dir = "{tmp_path}"\n[engines.chat]\nmodel = "m"\n')
    fields = {"requested": False, "text": "ended by SIGKILL, unasked", "cause": "killed"}
    event = Event(time.time(), EngineExited.name, "error", "chat", fields, 1)
    store = Store(tmp_path)
    store.open()
    store.append([event])
    where = ("--socket", str(tmp_path / "none.sock"), "--config", str(config))
    alone = json.loads(why(*where, "--json").output)
    host = FakeHost()
    host.found.append(event)
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        told = json.loads(why("--socket", str(path), "--json").output)
    assert alone == told
    assert [each["cause"] for each in told] == ["killed"]


def test_why_of_an_older_daemon_is_made_of_its_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost()
    fields = {"requested": False, "text": "ended by SIGKILL, unasked", "cause": "killed"}
    host.found.append(Event(time.time(), EngineExited.name, "error", "chat", fields, 1))
    monkeypatch.setattr(why_route, "route", lambda _: Route("/v1/other", lambda _: Response()))
    with control_socket(tmp_path / "c.sock", FakeEngine(), host=host) as path:
        assert "chat failed" in why("--socket", str(path)).output
