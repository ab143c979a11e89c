import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.site import wait_for
from vllmd.engine.engine_state import EngineState
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.stopping.unresponsive_shim import STOPPED_LOOKS, UnresponsiveShim
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord


class Shim:
    """A process that stands for a shim, and is no child that must be waited for."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.process = subprocess.Popen(argv or ["/bin/sleep", "60"], stdout=subprocess.PIPE)
        self.engine_state = EngineState("chat", FakeClock(), RestartStateFile(folder / "chat.json"))
        stat = proc.read_stat(self.process.pid)
        assert stat is not None
        self.run = cast(
            RunRecord, {"shim_pid": self.process.pid, "shim_start_ticks": stat.start_ticks}
        )

    def is_in(self, state: str) -> bool:
        stat = proc.read_stat(self.process.pid)
        return stat is not None and stat.state == state

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)
        wait_for("it to stand still", lambda: self.is_in("T"))


@pytest.fixture
def shims(tmp_path: Path) -> Iterator[list[Shim]]:
    made: list[Shim] = []
    yield made
    for shim in made:
        shim.process.kill()
        shim.process.wait()
        assert shim.process.stdout is not None
        shim.process.stdout.close()


def test_look_shim_that_was_stopped_is_continued_after_a_while_and_it_is_said(
    tmp_path: Path, shims: list[Shim]
) -> None:
    shims.append(shim := Shim(tmp_path))
    shim.stop()
    unanswered = UnresponsiveShim(shim.engine_state.found, patience=9)
    for _ in range(STOPPED_LOOKS - 1):
        unanswered.look(shim.run, ending=False)
    assert shim.is_in("T")
    assert shim.engine_state.problem is None
    unanswered.look(shim.run, ending=False)
    wait_for("it to go on", lambda: not shim.is_in("T"))
    assert shim.process.poll() is None
    assert "was stopped; it is continued" in str(shim.engine_state.problem)


def test_look_shim_that_went_on_by_itself_is_not_taken_for_stopped(
    tmp_path: Path, shims: list[Shim]
) -> None:
    shims.append(shim := Shim(tmp_path))
    unanswered = UnresponsiveShim(shim.engine_state.found, patience=9)
    for _ in range(STOPPED_LOOKS - 1):
        shim.stop()
        unanswered.look(shim.run, ending=False)
        os.kill(shim.process.pid, signal.SIGCONT)
        wait_for("it to go on", lambda: not shim.is_in("T"))
        unanswered.look(shim.run, ending=False)
    shim.stop()
    unanswered.look(shim.run, ending=False)
    assert shim.is_in("T")


def test_look_silent_shim_of_an_engine_that_is_to_run_is_never_ended(
    tmp_path: Path, shims: list[Shim]
) -> None:
    shims.append(shim := Shim(tmp_path))
    unanswered = UnresponsiveShim(shim.engine_state.found, patience=2)
    for _ in range(1000):
        unanswered.look(shim.run, ending=False)
    assert shim.process.poll() is None
    unanswered.look(shim.run, ending=True)
    assert shim.process.wait(20) == -signal.SIGTERM  # and not killed: the end is wanted only now


def test_look_stopped_shim_takes_the_signal_at_once(tmp_path: Path, shims: list[Shim]) -> None:
    shims.append(shim := Shim(tmp_path))
    shim.stop()
    UnresponsiveShim(shim.engine_state.found, patience=9).look(shim.run, ending=True)
    assert shim.process.wait(20) == -signal.SIGTERM


def test_look_shim_that_does_not_end_is_killed_after_its_time(
    tmp_path: Path, shims: list[Shim]
) -> None:
    shims.append(
        shim := Shim(tmp_path, "/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done")
    )
    assert shim.process.stdout is not None
    assert shim.process.stdout.readline() == b"up\n"
    unanswered = UnresponsiveShim(shim.engine_state.found, patience=2)
    unanswered.look(shim.run, ending=False)
    for _ in range(2):
        unanswered.look(shim.run, ending=True)
    assert shim.process.poll() is None
    unanswered.look(shim.run, ending=True)
    assert shim.process.wait(20) == -signal.SIGKILL


def test_look_process_that_took_the_id_later_is_spared(tmp_path: Path, shims: list[Shim]) -> None:
    shims.append(shim := Shim(tmp_path))
    shim.run["shim_start_ticks"] = 1
    unanswered = UnresponsiveShim(shim.engine_state.found, patience=1)
    for _ in range(3):
        unanswered.look(shim.run, ending=True)
    assert shim.process.poll() is None
