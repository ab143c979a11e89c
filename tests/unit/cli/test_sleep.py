import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tests.helpers.control import FakeEngine, control_socket
from vllmd.cli.sleep import command
from vllmd.engine.sleeping.status import SleepStatus
from vllmd.engine.state_machine import State
from vllmd.errors import HeldError

ASLEEP = SleepStatus(
    level=1, asleep_at=1.0, by="root", settled=True, freed_bytes=3 << 30, held_bytes=1 << 30
)


def sleep(folder: Path, *more: str, **engine: Any) -> tuple[Result, FakeEngine]:
    fake = FakeEngine(**engine)
    with control_socket(folder / "c.sock", fake) as path:
        return CliRunner().invoke(command, ["chat", "--socket", str(path), *more]), fake


def test_sleep_asks_the_daemon_and_says_what_came_back(tmp_path: Path) -> None:
    result, engine = sleep(tmp_path, state=State.SLEEPING, sleep=ASLEEP)
    assert result.exit_code == 0, result.output
    assert engine.asked == ["sleep"]
    assert "3.0 GiB of GPU memory given back, 1.0 GiB held" in result.output


def test_level_is_passed_on_and_another_is_a_usage_error(tmp_path: Path) -> None:
    result, engine = sleep(tmp_path, "--level", "2", state=State.SLEEPING, sleep=ASLEEP)
    assert result.exit_code == 0
    assert engine.asked == ["sleep at level 2"]
    assert sleep(tmp_path, "--level", "3")[0].exit_code == 2


def test_json_has_the_state_and_the_sleep(tmp_path: Path) -> None:
    result, _ = sleep(tmp_path, "--json", state=State.SLEEPING, sleep=ASLEEP)
    shown = json.loads(result.output.splitlines()[-1])
    assert (shown["engine"], shown["state"]) == ("chat", "sleeping")
    assert shown["sleep"]["freed_bytes"] == 3 << 30


def test_no_wait_returns_at_once(tmp_path: Path) -> None:
    result, _ = sleep(tmp_path, "--no-wait", state=State.READY, sleep=SleepStatus(level=1))
    assert result.output.splitlines()[-1] == "chat: sleep requested"


def test_refusal_ends_the_wait_with_its_reason(tmp_path: Path) -> None:
    refused = SleepStatus(level=1, refused="3 requests run after drain_s (30 s)", refused_at=1.0)
    result, _ = sleep(tmp_path, state=State.READY, sleep=refused)
    assert isinstance(result.exception, HeldError)
    assert "3 requests run after drain_s" in str(result.exception)
