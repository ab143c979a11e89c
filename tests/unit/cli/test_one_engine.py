import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.cli.one_engine import History
from vllmd.cli.status import command
from vllmd.control.client import ControlClient
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event


def shown(tmp_path: Path, host: FakeHost, name: str = "chat", **fields: Any) -> str:
    engine = FakeEngine("chat", log=str(tmp_path / "chat.log"), **fields)
    with control_socket(tmp_path / "c.sock", engine, host=host) as path:
        result = CliRunner().invoke(command, [name, "--socket", str(path)])
    return result.output or str(result.exception)


def ended(requested: bool, text: str) -> Event:
    fields = {"requested": requested, "text": text, "cause": "lora_rank"}
    return Event(time.time(), "engine.exited", "error", "chat", fields, 1)


def test_status_of_an_engine_has_its_newest_failures_and_its_newest_lines(tmp_path: Path) -> None:
    host = FakeHost()
    host.found = [ended(True, "was stopped"), ended(False, "exited with code 1 unexpectedly")]
    (tmp_path / "chat.log").write_text("".join(f"line {n}\n" for n in range(12)))
    said = shown(tmp_path, host, pid=7, shim_pid=6, requests_running=2, requests_waiting=1)
    assert "State: ready (busy) since " in said
    assert "Requests: 2 running, 1 waiting" in said
    assert "lora_rank  exited with code 1 unexpectedly" in said
    assert "was stopped" not in said
    assert [line.strip() for line in said.splitlines()][-10:] == [f"line {n}" for n in range(2, 12)]
    assert host.wanted[0].engine == "chat"


def test_status_of_an_engine_without_output_or_history_says_so(tmp_path: Path) -> None:
    host = FakeHost()
    host.error = VllmdError("the file is damaged")
    said = shown(tmp_path, host)
    assert "its history cannot be read: the file is damaged" in said
    assert "It has printed nothing yet" in said


def test_status_of_an_engine_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    said = shown(tmp_path, FakeHost(), name="other")
    assert "no engine 'other' is configured; there is: chat" in said


class FakeClient(ControlClient):
    """Answers with one failure, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def events(self, _wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.asked += 1
        return [ended(False, f"failure {self.asked}").to_json()]


def test_history_is_asked_for_each_ten_seconds_and_when_the_engine_has_ended_again() -> None:
    client = FakeClient()
    history = History(client)
    asked = []
    for now, ended_at in (
        *((1_000.0, 1.0), (1_001.0, 1.0), (1_005.0, 1.0)),
        *((1_006.0, 1_005.5), (1_015.0, 1_005.5)),
        (1_016.5, 1_005.5),
        (900.0, 1_005.5),  # the clock was set back
    ):
        [(_, found)] = history.failures({"name": "chat", "last_exit": {"at": ended_at}}, now)
        asked.append(client.asked)
        assert found.text == f"failure {client.asked}"
    assert asked == [1, 1, 1, 2, 2, 3, 4]
