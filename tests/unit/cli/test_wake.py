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
