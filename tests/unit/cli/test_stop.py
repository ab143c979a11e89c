from pathlib import Path

from click.testing import CliRunner, Result

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.stop import command
from vllmd.engine.state_machine import State
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.errors import TimedOutError, UnknownEngineError


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


def stop(folder: Path, engine: FakeEngine, *more: str) -> Result:
    with control_socket(folder / "c.sock", engine) as path:
        return CliRunner().invoke(command, ["chat", "--socket", str(path), *more])


def test_stop_keeps_weights_where_there_are_some_and_says_where_there_are_none(
    tmp_path: Path,
) -> None:
    kept = WeightsStatus(WeightsState.READY, 1.0, "/log", 1, 1, 7, 8, "r", kept=True)
    engine = FakeEngine(state=State.STOPPED, weights=kept)
    assert stop(tmp_path, engine, "--keep-weights").exit_code == 0
    assert engine.asked == ["stop and keep weights"]
    result = stop(tmp_path, FakeEngine(state=State.STOPPED), "--keep-weights")
    assert "preload = true" in str(result.exception)


def test_stop_is_not_over_while_weights_are_being_given_up(tmp_path: Path) -> None:
    given_up = WeightsStatus(WeightsState.ENDING, 1.0, "/log", 1, 1, 7, 8, "r")
    engine = FakeEngine(state=State.STOPPED, weights=given_up)
    result = stop(tmp_path, engine, "--timeout", "0")
    assert isinstance(result.exception, TimedOutError)
