from pathlib import Path

from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.start import command
from vllmd.engine.state_machine import State
from vllmd.errors import UnknownEngineError


def test_start_asks_the_daemon(tmp_path: Path) -> None:
    engine = FakeEngine(state=State.STOPPED)
    with control_socket(tmp_path / "c.sock", engine) as path:
        result = CliRunner().invoke(command, ["chat", "--socket", str(path)])
    assert result.exit_code == 0, result.output
    assert engine.asked == ["start"]
    assert "chat: " in result.output


def test_start_unknown_engine_is_an_error(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine()) as path:
        result = CliRunner().invoke(command, ["other", "--socket", str(path)])
    assert isinstance(result.exception, UnknownEngineError)
