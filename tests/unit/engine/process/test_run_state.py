import json
import threading
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.late_disk import LateDisk
from tests.helpers.make import engine
from vllmd.engine.process.run_state import Endpoint, Run, RunState, RunStates
from vllmd.engine.state_machine import State
from vllmd.events.daemon import StateFileNotWritten
from vllmd.util.clock import Moment
from vllmd.util.within import run_within

STATE = RunState(
    Run("run-1", "hash", Endpoint("127.0.0.1", 8001, "m", ("tiny",))),
    State.SLEEPING,
    Moment(900.0, 1_000_900.0),
    ready_at=880.0,
    start_duration_s=40.5,
    phase="listening",
    phases={"spawn": 840.0, "listening": 879.0},
    sizes={"weights": 123},
)


def test_load_returns_what_was_saved_until_it_is_forgotten(tmp_path: Path) -> None:
    states = RunStates(tmp_path / "state.json")
    assert states.load(FakeClock()) is None
    states.save(STATE)
    assert states.load(FakeClock()) == STATE
    states.forget()
    states.forget()
    assert states.load(FakeClock()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"boot_id": "another"},
        {"since": {"monotonic": 5000.0, "wall": 1.0}},  # of another time than this one
        {"state": "dancing"},
        {"run": None},
        {"phases": 3},
    ],
)
def test_load_believes_no_other_boot_and_no_garbage(tmp_path: Path, change: object) -> None:
    path = tmp_path / "state.json"
    RunStates(path).save(STATE)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))  # type: ignore[dict-item]
    assert RunStates(path).load(FakeClock()) is None
    path.write_text("{")
    assert RunStates(path).load(FakeClock()) is None


def test_save_on_a_full_disk_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "engine").write_text("no folder")
    states = RunStates(tmp_path / "engine" / "state.json")
    with capture_logs() as logs:
        states.save(STATE)
        states.save(STATE)
    assert [line["event"] for line in logs] == [StateFileNotWritten.name]


def test_reached_gives_other_settings_the_address_of_the_run() -> None:
    old, new = engine("port = 8001"), engine("port = 9001\ndrain_s = 7")
    found = Endpoint.of(old).settings(new)
    assert (found.port, found.drain_s) == (8001, 7)


def test_a_password_in_the_model_is_not_written_down_and_not_lost(tmp_path: Path) -> None:
    given = attrs.evolve(engine(""), model="s3://u:planted-1@bucket/m")
    reached = Endpoint.of(given)
    assert "planted-1" not in str(reached)
    assert reached.settings(given).model == given.model
    assert reached.settings(attrs.evolve(given, model="other")).model == reached.model


async def test_disk_that_is_slow_is_waited_for_off_the_event_loop_and_once(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    RunStates(path).save(STATE)
    readers: list[str] = []

    def read(*_: object) -> RunState:
        readers.append(threading.current_thread().name)
        return STATE

    states = RunStates(path)
    assert states._file is not None
    states._file.read = read  # type: ignore[method-assign, assignment]
    await states.read(run_within)
    assert [states.load(FakeClock()) for _ in range(3)] == [STATE] * 3
    await states.read(run_within)
    assert len(readers) == 1
    assert readers[0] != threading.main_thread().name


async def test_what_was_not_read_in_time_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    RunStates(path).save(STATE)
    states, disk = RunStates(path), LateDisk(monkeypatch)
    await states.read(run_within)
    assert states.load(FakeClock()) is None
    disk.late = False
    assert states.load(FakeClock()) == STATE
