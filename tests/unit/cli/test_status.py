import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli import terminal
from vllmd.cli.status import command
from vllmd.engine.doubts import Doubt, Doubts
from vllmd.engine.exits import Exit, explain
from vllmd.engine.restart.policy import Hold
from vllmd.engine.state_machine import State
from vllmd.errors import DaemonUnreachableError
from vllmd.util.units import HOUR_S


def status_of(
    tmp_path: Path, *engines: FakeEngine, json_too: bool = False, host: FakeHost | None = None
) -> str:
    with control_socket(tmp_path / "c.sock", *engines, host=host) as path:
        options = ["--json"] if json_too else []
        result = CliRunner().invoke(command, ["--socket", str(path), *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_status_is_a_table(tmp_path: Path) -> None:
    now = time.time()
    shown = status_of(
        tmp_path,
        FakeEngine("chat", since=now - 5.5 * HOUR_S, pid=7),
        FakeEngine("code", state=State.LOADING, phase="weights", since=now),
    )
    lines = shown.splitlines()
    assert lines[1].split()[:3] == ["ENGINE", "STATE", "FOR"]
    assert lines[2].split()[:4] == ["chat", "ready", "5h", "30m"]
    assert lines[2].split()[-3:] == ["m", "7", "http://127.0.0.1:8000"]
    assert "loading (weights)" in lines[3]


def test_status_shows_the_bar_under_way(tmp_path: Path) -> None:
    host = FakeHost()
    host.printing["chat"] = "Loading weights: 40%"
    loading = FakeEngine(state=State.LOADING)
    assert "chat: prints: Loading weights: 40%" in status_of(tmp_path, loading, host=host)
    shown = json.loads(status_of(tmp_path, loading, json_too=True, host=host))
    assert shown["engines"][0]["printing"] == "Loading weights: 40%"


def test_status_shows_what_will_fail_and_a_log_that_is_not_written(tmp_path: Path) -> None:
    host, doubts = FakeHost(), Doubts()
    host.log_problems["chat"] = "No space left on device"
    line = "ValueError: no"
    doubts.tell("chat", "doctor", [Doubt("model", "error", "No folder.", "Do it.", (line,))])
    with control_socket(
        tmp_path / "c.sock", FakeEngine(state=State.LOADING), host=host, doubts=doubts
    ) as path:
        shown = CliRunner().invoke(command, ["--socket", str(path)]).output
    assert "chat: will probably fail: No folder. Do it." in shown
    assert f"chat:   printed: {line}" in shown
    assert "chat: its log is not written: No space left on device; the newest lines" in shown


def test_status_tells_what_needs_a_hand(tmp_path: Path) -> None:
    last = Exit("0", requested=False, at=time.time(), run_id="r")
    shown = status_of(
        tmp_path,
        FakeEngine(
            state=State.BACKOFF,
            problem="the port is taken",
            command_changed=True,
            next_start_at=time.time() + 30,
            last_exit=last,
        ),
    )
    assert "chat: the port is taken" in shown
    assert "'vllmd restart chat' brings the new one" in shown
    assert "'vllmd start chat' starts it now" in shown
    assert "exited with code 0 unexpectedly" in shown


def test_status_says_why_it_ended_and_what_began_it(tmp_path: Path) -> None:
    def end(run_id: str, line: str) -> Exit:
        return explain(Exit("1", requested=False, at=time.time() - 60, run_id=run_id), [line])

    shown = status_of(
        tmp_path,
        FakeEngine(
            state=State.BACKOFF,
            first_failure=end("a", "ValueError: LoRA rank 32 is greater than max_lora_rank 16."),
            last_exit=end("b", "OSError: [Errno 98] Address already in use"),
        ),
    )
    assert "ago (port_in_use): exited with code 1" in shown
    assert "chat:   Another process listens" in shown
    assert "printed: OSError: [Errno 98]" in shown
    assert shown.index("the failures began 1m ago (lora_rank)") < shown.index("A LoRA adapter")


def test_status_held_engine_has_its_reason_and_its_next_try(tmp_path: Path) -> None:
    since = time.time() - 65
    hold = Hold("lora_rank", "Raise it.", since, time.time() + 1700, "hash")
    final = Hold("gpu_fault", "Reset it.", since, None, "hash")
    shown = status_of(
        tmp_path,
        FakeEngine("chat", state=State.HELD, hold=hold),
        FakeEngine("code", state=State.HELD, hold=final),
    )
    assert "chat: held for 1m 5s: Raise it." in shown
    assert "chat: retry in 28m" in shown
    assert "code: no more retries; 'vllmd start code' starts it now" in shown


def test_status_json_is_json(tmp_path: Path) -> None:
    shown = json.loads(status_of(tmp_path, FakeEngine(), json_too=True))
    assert shown["engines"][0]["state"] == "ready"
    assert shown["daemon"]["pid"] == 1


def test_status_no_engine_says_so(tmp_path: Path) -> None:
    assert "no engine is configured" in status_of(tmp_path)


def test_status_names_parts_of_vllmd_that_keep_failing(tmp_path: Path) -> None:
    now, host = time.time(), FakeHost()
    host.failing = [
        {
            **{"part": "gpu_reader", "failures": 4, "problem": "KeyError: 'cpu_s'"},
            **{"failed_at": now - 30, "retry_at": now + 20},
        },
        {
            **{"part": "disk", "failures": 9, "problem": "OSError: full"},
            **{"failed_at": now - 30, "retry_at": None},
        },
    ]
    reader, disk = status_of(tmp_path, host=host).splitlines()[1:3]
    assert reader.startswith("part gpu_reader of vllmd failed, 4 in all, the last 30s ago")
    assert "retry in" in reader
    assert "KeyError: 'cpu_s'" in reader
    assert "retry" not in disk
    shown = json.loads(status_of(tmp_path, json_too=True, host=host))
    assert shown["daemon"]["failing"] == host.failing


def test_status_says_that_the_web_configuration_cannot_be_used(tmp_path: Path) -> None:
    host = FakeHost()
    host.more["web_config_problem"] = "the web configuration cannot be used, …"
    assert "the web configuration cannot be used" in status_of(tmp_path, host=host).splitlines()[1]


def test_status_says_that_vllmd_itself_is_late_before_anything_of_engines(tmp_path: Path) -> None:
    host = FakeHost()
    host.more["late_s"] = 42.4
    shown = status_of(tmp_path, FakeEngine("chat"), host=host).splitlines()
    assert shown[1].startswith("vllmd itself is late by 42 s: ")
    host.more["late_s"] = 0.3
    assert "late" not in status_of(tmp_path, FakeEngine("chat"), host=host)


def test_status_alone_says_what_to_do_next(tmp_path: Path) -> None:
    def hints(*engines: FakeEngine) -> str:
        with control_socket(tmp_path / "c.sock", *engines) as path:
            result = CliRunner().invoke(command, ["--socket", str(path), "--hints"])
        return result.output.splitlines()[-1]

    assert hints() == "Next: vllmd init · vllmd reload · vllmd --help"
    assert "vllmd top" in hints(FakeEngine("chat"))
    assert "vllmd start chat" in hints(FakeEngine("chat", state=State.STOPPED))
    assert "vllmd logs -f chat" in hints(FakeEngine("chat", state=State.LOADING))
    held = FakeEngine("code", state=State.HELD)
    assert hints(FakeEngine("chat"), held).startswith("Next: vllmd why code · ")


def test_status_alone_without_a_daemon_says_how_to_get_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--socket", str(tmp_path / "none"), "--hints"])
    assert isinstance(result.exception, DaemonUnreachableError)
    assert "Next: vllmd" in str(result.exception)


def test_watch_shows_it_again_and_waits_for_a_daemon_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter([None, None])

    def pause(seconds: float) -> None:
        assert seconds == 2.0
        if next(rounds, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt

    monkeypatch.setattr("vllmd.cli.status.time.sleep", pause)
    options = ["--watch", "--interval", "2s"]
    with control_socket(tmp_path / "c.sock", FakeEngine("chat")) as path:
        shown = CliRunner().invoke(command, ["--socket", str(path), *options]).output
    assert shown.count("ENGINE") == 3
    rounds = iter([None, None])
    shown = CliRunner().invoke(command, ["--socket", str(path), *options]).output
    assert shown.count("no vllmd answers") == 3


def test_watch_as_json_without_a_daemon_says_so_once_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = iter([None, None])

    def pause(_seconds: float) -> None:
        if next(rounds, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt

    monkeypatch.setattr("vllmd.cli.status.time.sleep", pause)
    result = CliRunner().invoke(command, ["--socket", str(tmp_path / "c.sock"), "-w", "--json"])
    assert result.stdout.strip() == ""
    assert result.stderr.count("no vllmd answers") == 1


def test_watch_on_a_terminal_says_what_it_has_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vllmd.cli.status.time.sleep", stop)
    monkeypatch.setattr(terminal, "moves_cursor", lambda: True)
    monkeypatch.setenv("LINES", "6")
    engines = [FakeEngine(f"chat-{n}") for n in range(9)]
    with control_socket(tmp_path / "c.sock", *engines) as path:
        shown = CliRunner().invoke(command, ["--socket", str(path), "--watch"]).output
        one = CliRunner().invoke(command, ["--socket", str(path), "-w", "chat-1"]).output
    assert "more lines; 'vllmd status' shows all" in shown
    assert "more lines; 'vllmd status chat-1' shows all" in one


def stop(_seconds: float) -> None:
    raise KeyboardInterrupt


def test_json_of_one_engine_is_that_engine(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine("chat"), FakeEngine("code")) as path:
        result = CliRunner().invoke(command, ["code", "--json", "--socket", str(path)])
    assert json.loads(result.output)["name"] == "code"
