import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli import top
from vllmd.cli.screen import hosts
from vllmd.cli.screen.app import TopApp
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, UnknownEngineError, VllmdError


def run(tmp_path: Path, *arguments: str) -> Result:
    with control_socket(tmp_path / "c.sock", FakeEngine("chat"), FakeEngine("code")) as path:
        return CliRunner().invoke(top.command, ["--socket", str(path), *arguments])


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> list[TopApp]:
    """A terminal with a screen, on which nothing is drawn."""
    shown: list[TopApp] = []
    monkeypatch.setattr(top, "_has_screen", lambda: True)
    monkeypatch.setattr(TopApp, "run", lambda app: shown.extend([app]))
    return shown


def test_top_in_a_pipe_is_one_status(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()[1:4]] == [
        "ENGINE",
        "chat",
        "code",
    ]


def test_top_once_of_an_engine_is_of_that_one(tmp_path: Path) -> None:
    shown = run(tmp_path, "--once", "code").output
    assert "code" in shown
    assert "chat" not in shown
    assert json.loads(run(tmp_path, "--once", "--json", "code").output)["name"] == "code"


def test_top_once_as_json_is_the_document(tmp_path: Path) -> None:
    assert len(json.loads(run(tmp_path, "--once", "--json").output)["engines"]) == 2


def test_top_shows_a_screen_of_this_hosts_daemon(tmp_path: Path, screen: list[TopApp]) -> None:
    result = run(tmp_path, "--interval", "5s")
    assert result.exit_code == 0, result.output
    (app,) = screen
    assert app.feeds is not None
    assert [host.local for host in app.hosts] == [True]


def test_top_of_other_hosts_has_no_commands(tmp_path: Path, screen: list[TopApp]) -> None:
    assert run(tmp_path, "--host", "http://a:1", "--host", "b:2").exit_code == 0
    (app,) = screen
    assert app.feeds is None
    assert [(host.label, host.local) for host in app.hosts] == [("a:1", False), ("b:2", False)]


def test_top_of_an_engine_that_is_not_there_names_those_that_are(
    tmp_path: Path, screen: list[TopApp]
) -> None:
    assert isinstance(run(tmp_path, "cat").exception, UnknownEngineError)
    assert not screen


def test_top_without_a_daemon_waits_for_it(tmp_path: Path, screen: list[TopApp]) -> None:
    result = CliRunner().invoke(top.command, ["--socket", str(tmp_path / "none")])
    assert result.exit_code == 0, result.output
    assert len(screen) == 1


def test_top_in_a_pipe_without_a_daemon_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(top.command, ["--socket", str(tmp_path / "none")])
    assert isinstance(result.exception, DaemonUnreachableError)


def test_top_without_a_screen_is_a_status_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("vllmd.cli.terminal.width", lambda: 80)
    monkeypatch.setattr("vllmd.cli.top.time.sleep", sleep)
    shown = run(tmp_path, "--interval", "2s").output
    assert shown.count("ENGINE") == 2
    assert slept == [2.0, 2.0]


def test_top_once_of_hosts_shows_those_that_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(self: hosts.RemoteSource, *, series: bool) -> dict[str, Any]:
        if self.label == "b":
            raise VllmdError("b does not answer")
        return hosts.LocalSource(client).status(series=series)  # type: ignore[return-value]

    with control_socket(tmp_path / "c.sock", FakeEngine("chat")) as path:
        client = ControlClient(path)
        monkeypatch.setattr(hosts.RemoteSource, "status", status)
        result = CliRunner().invoke(top.command, ["--once", "--host", "a", "--host", "b"])
    assert "chat" in result.output
    assert "vllmd: b does not answer" in result.output


@pytest.mark.long
def test_top_once_starts_without_textual() -> None:
    code = "import sys, vllmd.cli.top; sys.exit(int(bool({'textual', 'httpx'} & set(sys.modules))))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
