import os
from pathlib import Path

from tests.helpers.make import status
from vllmd.engine.weights.state import WeightsState, WeightsStatus
from vllmd.gpu import shims
from vllmd.shim import proc
from vllmd.shim.protocol import RUN_RECORD_NAME
from vllmd.shim.record import write_record


def write_run(folder: Path, ticks: int) -> None:
    folder.mkdir(parents=True)
    record = {
        **dict.fromkeys(("protocol", "engine_pid", "engine_start_ticks", "log_offset"), 1),
        **dict.fromkeys(("engine", "run_id", "command_hash", "log"), "x"),
        "boot_id": proc.boot_id(),
        "shim_pid": os.getpid(),
        "shim_start_ticks": ticks,
        "started_at": 1.0,
    }
    write_record(str(folder / RUN_RECORD_NAME), record)


def test_running_has_the_shims_of_engines_and_of_their_weights(tmp_path: Path) -> None:
    weights = WeightsStatus(WeightsState.READY, 0.0, "/log", 1, shim_pid=8)
    found = shims.running([status(shim_pid=7, weights=weights), status("code")], tmp_path)
    assert found == {7: "chat", 8: "weights of chat"}


def test_running_finds_what_is_configured_no_more_by_its_folder(tmp_path: Path) -> None:
    stat = proc.read_stat(os.getpid())
    assert stat is not None
    write_run(tmp_path / "weights" / "old", stat.start_ticks)
    write_run(tmp_path / "weights" / "dead", stat.start_ticks + 1)
    assert shims.running([], tmp_path) == {os.getpid(): "weights of old"}
    write_run(tmp_path / "engines" / "code", stat.start_ticks)
    assert set(shims.running([], tmp_path).values()) <= {"weights of old", "code"}
