from pathlib import Path

from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.stop import command
from vllmd.engine.state_machine import State
from vllmd.errors import UnknownEngineError


def test_stop_asks_the_daemon(tmp_path: Path) -> None:
    engine = FakeEngine(state=State.STOPPED)
    with control_socket(tmp_path / "c.sock", engine) as path:
        result = CliRunner().invoke(command, ["chat", "--socket", str(path)])
    assert result.exit_code == 0, result.output
    assert engine.asked == ["stop"]
    assert "chat: " in result.output


def test_stop_unknown_engine_is_an_error(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine()) as path:
        result = CliRunner().invoke(command, ["other", "--socket", str(path)])
    assert isinstance(result.exception, UnknownEngineError)
