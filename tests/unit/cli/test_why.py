import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from tests.helpers.make import DATA
from vllmd.cli.why import command
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited

KILLED = DATA / "engine-logs" / "cpu-0.32-engine-core-killed.log"


def why(*arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=stdin, catch_exceptions=False)


@pytest.mark.parametrize("by_stdin", [False, True])
def test_why_log_names_the_cause_of_any_run(by_stdin: bool) -> None:
    stdin = KILLED.read_bytes() if by_stdin else None
    shown = json.loads(why("--log", "-" if by_stdin else str(KILLED), "--json", stdin=stdin).output)
    assert list(shown)[:5] == ["cause", "kind", "explanation", "advice", "evidence"]
    assert {"what", "why", "done", "next", "more"} <= set(shown)
    assert (shown["cause"], shown["kind"]) == ("engine_core_died", "transient")
    text = why("--log", str(KILLED), "--exit-code", "0").output
    words = " ".join(text.split())
    assert words.startswith(
        f"What The last run in {KILLED} ended with exit code 0. Why The part of"
    )
    assert all(len(line) <= 80 for line in text.splitlines() if str(KILLED) not in line)
    assert "Next If nobody killed it" in words


def test_why_log_masks_secrets_and_says_what_cannot_be_read(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("FooError: token hf_abcdefghijklmnopqrstuvwx was refused\n")
    output = why("--log", str(log)).output
    assert "hf_abc" not in output
    assert "FooError" in output
    with pytest.raises(VllmdError, match="cannot be read: No such file"):
        why("--log", str(tmp_path / "none"))
    assert why("--exit-code", "1").exit_code == 2


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


def test_why_log_masks_what_the_configuration_calls_a_secret(tmp_path: Path) -> None:
    path, log = tmp_path / "vllmd.toml", tmp_path / "a.log"
    path.write_text('[engines.chat]\nmodel = "m"\n[engines.chat.env]\nHF_TOKEN = "planted-5ae1"\n')
    log.write_text("FooError: planted-5ae1 was refused\n")
    output = why("--log", str(log), "--config", str(path)).output
    assert "planted-5ae1" not in output
    assert "FooError" in output
    path.write_text("[engines.chat\n")
    assert "FooError" in why("--log", str(log), "--config", str(path)).output
