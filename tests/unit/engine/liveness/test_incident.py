import json
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import spec
from tests.helpers.shims import FakeShim
from vllmd import events
from vllmd.engine.ledger import Ledger
from vllmd.engine.liveness.incident import KEPT, Incidents, write
from vllmd.engine.liveness.reading import Activity
from vllmd.engine.restart.memory import Memory
from vllmd.shim.protocol import RunRecord


@pytest.fixture
def run(tmp_path: Path) -> RunRecord:
    Path(tmp_path / "chat.log").write_text("before\nlast words\n")
    made = FakeShim(spec(tmp_path, ["x"])).run
    made["log_offset"] = len("before\n")
    return made


def fake_py_spy(folder: Path, script: str) -> str:
    """Put a py-spy beside an engine's program; returns the program."""
    tool = folder / "py-spy"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return str(folder / "vllm")


async def test_write_keeps_reason_lines_and_processes(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    made = await write(
        tmp_path / "incidents",
        run,
        "stands still",
        Activity(1.5, 2.5, 3, gpu_busy=True),
        at=0.0,
        limit_s=5,
        program="/no/vllm",
    )
    assert made.name == "19700101T000000Z-chat-run-1"
    about = json.loads((made / "reason.json").read_text())
    assert (about["reason"], about["run_id"]) == ("stands still", "run-1")
    assert (about["used"]["core_cpu_s"], about["used"]["gpu_busy"]) == (2.5, True)
    assert (made / "last-lines.log").read_text() == "last words\n"
    assert "py-spy is not installed" in (made / "stacks.txt").read_text()


async def test_write_takes_stacks_without_stopping_the_process(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    program = fake_py_spy(tmp_path, 'echo "$@"')
    run["shim_pid"] = os.getppid()
    made = await write(tmp_path / "i", run, "r", None, at=0.0, limit_s=30, program=program)
    stacks = (made / "stacks.txt").read_text()
    assert f"dump --nonblocking --pid {os.getpid()}" in stacks
    processes = json.loads((made / "reason.json").read_text())["processes"]
    assert os.getpid() in [each["pid"] for each in processes]


async def test_write_stacks_are_cut_off_in_time(
    tmp_path: Path, run: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    program = fake_py_spy(tmp_path, "exec sleep 60")
    run["shim_pid"] = os.getppid()
    made = await write(tmp_path / "i", run, "r", None, at=0.0, limit_s=0.2, program=program)
    assert "cut off after 0.2 s" in (made / "stacks.txt").read_text()


async def test_write_keeps_a_bounded_number(tmp_path: Path, run: RunRecord) -> None:
    for n in range(KEPT + 3):
        await write(tmp_path / "i", run, "r", None, at=n * 60.0, limit_s=0, program="/no/vllm")
    assert len(list((tmp_path / "i").iterdir())) == KEPT


async def test_record_that_cannot_be_written_is_said_and_no_more(
    tmp_path: Path, run: RunRecord
) -> None:
    (tmp_path / "file").write_text("")
    clock = FakeClock()
    ledger = Ledger("chat", clock, Memory(tmp_path / "chat.json"))
    incidents = Incidents(tmp_path / "file", ledger, clock, limit_s=1, program="/no/vllm")
    with capture_logs() as logs:
        assert await incidents.record(run, "r", None) is None
    assert logs[0]["event"] == events.INCIDENT_FAILED
