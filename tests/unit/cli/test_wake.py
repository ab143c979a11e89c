from pathlib import Path

from click.testing import CliRunner

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.wake import command
from vllmd.engine.sleeping.status import SleepStatus
from vllmd.engine.state_machine import State


def test_wake_asks_the_daemon_and_waits_until_it_serves(tmp_path: Path) -> None:
    engine = FakeEngine(state=State.READY, sleep=SleepStatus(level=1))
    with control_socket(tmp_path / "c.sock", engine) as path:
        result = CliRunner().invoke(command, ["chat", "--socket", str(path)])
    assert result.exit_code == 0, result.output
    assert engine.asked == ["wake"]
    assert result.output.splitlines()[-1].startswith("chat: ready; awake")


def test_engine_without_sleep_mode_that_another_put_to_sleep_is_woken(tmp_path: Path) -> None:
    engine = FakeEngine(state=State.READY, sleep=None)
    with control_socket(tmp_path / "c.sock", engine) as path:
        result = CliRunner().invoke(command, ["chat", "--socket", str(path)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "chat: ready"
