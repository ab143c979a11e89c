from pathlib import Path
from typing import Any

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.gpu_interface import EngineGpus, Shortage
from vllmd.engine.liveness.work_baseline import WorkBaseline
from vllmd.engine.process.run_state import Endpoint, Run
from vllmd.engine.restart.room_gate import UNSURE_WAIT_S, RoomGate
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.state_machine import State, Trigger
from vllmd.events.engine import EngineRoomAwaited, EngineRoomWaitEnded
from vllmd.util.units import GIB

HOLDER = "python train.py (pid 7): 60.0 GiB"
MISSING = Shortage("0", 4 * GIB, (HOLDER,), sure=True)
UNSURE = attrs.evolve(MISSING, missing_bytes=2**20, sure=False)


class _Gpus(EngineGpus):
    missing: Shortage | None = MISSING
    unread = False

    def awaited(self) -> bool:
        return self.unread

    def shortage(self) -> Shortage | None:
        return self.missing


class Scene:
    def __init__(self, folder: Path, text: str = "") -> None:
        self.clock = FakeClock(0.0)
        self.gpus = _Gpus()
        self.state = EngineState("chat", self.clock, RestartStateFile(folder / "chat.json"))
        self.state.known.work["hash"] = WorkBaseline(idle_watts=120.0)
        self.gate = RoomGate(self.state, self.clock)
        self.gate.use(engine(text), "hash", self.gpus)

    def looks(self) -> str | None:
        """Look a second later."""
        self.clock.now += 1
        return self.gate.look()

    def waits_s(self, most_s: int = 3600) -> int:
        """Return for how many looks, a second apart, it waits."""
        return next((n for n in range(most_s) if self.looks() is None), most_s)

    def becomes_ready(self) -> None:
        """Start it, and let it serve."""
        self.state.spawned(Run("r", "hash", Endpoint.of(engine())), seen=True)
        for event in (Trigger.START, Trigger.SPAWNED):
            self.state.to(event)
        self.state.ready()

    def ends(self, **more: Any) -> None:
        """Let the run end."""
        self.state.ended(Exit("1", False, at=1.0, run_id="r", **more))
        self.state.state = State.STOPPED


def _diagnosis(cause: str) -> Diagnosis:
    return Diagnosis(cause, Kind.TRANSIENT, "It broke.", "Mend it.")


def test_gate_is_open_where_there_is_room_or_nobody_knows(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.gpus.missing = None
    assert scene.looks() is None
    assert scene.state.room_wait is None


def test_gate_says_for_whom_it_waits_once_and_opens_the_second_there_is_room(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    with capture_logs() as logs:
        assert scene.looks() == "", "readings are a second old"
        assert scene.state.awaited_memory is None
        said = {scene.looks() for _ in range(10)}
        assert scene.state.awaited_memory == MISSING
        scene.gpus.missing = None
        assert scene.looks() is None
    assert said == {
        "waits for GPU memory: 4.0 GiB too little is free on GPU 0, held by python train.py "
        "(pid 7): 60.0 GiB. It starts as soon as there is room, at 14:16:41 UTC at the latest; "
        "'vllmd start chat' starts it all the same"
    }
    assert scene.state.awaited_memory is None
    names = [entry["event"] for entry in logs]
    assert names == [EngineRoomAwaited.name, EngineRoomWaitEnded.name]
    assert logs[0]["holders"] == [HOLDER]
    assert (logs[1]["why"], logs[1]["after_s"]) == ("there is room", 11.0)


def test_gate_first_readings_are_waited_for_and_not_for_long(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.gpus.missing, scene.gpus.unread = None, True
    assert [scene.looks() for _ in range(5)] == ["", "", "", "", None]
    scene = Scene(tmp_path)
    scene.gpus.unread = True
    assert scene.looks() == ""
    scene.gpus.unread = False
    assert scene.looks() == ""
    assert "waits for GPU memory" in str(scene.looks())


def test_gate_memory_of_the_run_before_that_just_comes_back_is_no_event(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with capture_logs() as logs:
        assert scene.looks() == ""
        scene.gpus.missing = None
        assert scene.looks() is None
    assert logs == []


def test_gate_other_holders_are_said_anew_and_other_amounts_are_not(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.looks()
    first = scene.looks()
    scene.gpus.missing = attrs.evolve(MISSING, missing_bytes=3 * GIB)
    assert scene.looks() == first
    assert scene.state.awaited_memory == scene.gpus.missing
    scene.gpus.missing = attrs.evolve(MISSING, holders=())
    assert "processes that cannot be seen from here" in str(scene.looks())


@pytest.mark.parametrize(
    ("missing", "text", "cause", "wait_s"),
    [
        (MISSING, "", None, 1800),
        (MISSING, "", "no_gpu_seen", UNSURE_WAIT_S),
        (UNSURE, "", None, UNSURE_WAIT_S),
        (UNSURE, "", "engine_core_died", UNSURE_WAIT_S),
        (UNSURE, "", "vram_held", 1800),
        (UNSURE, "", "cuda_out_of_memory", UNSURE_WAIT_S),
        (MISSING, "restart = { room_wait_s = 60 }", None, 60),
        (UNSURE, "restart = { room_wait_s = 60 }", None, 60),
        (MISSING, "restart = { room_wait_s = 0 }", None, 0),
    ],
)
def test_gate_wrong_estimate_holds_no_engine_for_ever(
    tmp_path: Path, missing: Shortage, text: str, cause: str | None, wait_s: int
) -> None:
    scene = Scene(tmp_path, text)
    scene.gpus.missing = missing
    if cause is not None:
        scene.ends(diagnosis=_diagnosis(cause))
    if cause == "no_gpu_seen":
        scene.state.known.work.clear()
    assert scene.waits_s() == wait_s


def test_gate_out_of_memory_while_it_loaded_proves_a_shortage(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.gpus.missing = UNSURE
    scene.ends(diagnosis=_diagnosis("cuda_out_of_memory"), phase="weights")
    assert scene.waits_s() == 1800


@pytest.mark.parametrize("requested", [False, True])
def test_gate_learns_from_starts_that_became_ready_against_the_estimate(
    tmp_path: Path, requested: bool
) -> None:
    scene = Scene(tmp_path)
    for wait_s in (1800, UNSURE_WAIT_S, 0, 0):
        if requested and wait_s:
            scene.looks()
            scene.gate.open()
            assert scene.looks() is None
        else:
            assert scene.waits_s() == wait_s
        scene.becomes_ready()
        scene.ends()
    scene.gate.use(engine(), "another", scene.gpus)
    assert scene.waits_s() == 1800, "another command takes another share, maybe elsewhere"


def test_gate_learns_nothing_from_a_start_with_room_or_one_that_fails(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.waits_s() == 1800
    scene.ends()
    scene.gpus.missing = None
    assert scene.looks() is None
    scene.becomes_ready()
    scene.ends()
    scene.gpus.missing = MISSING
    assert scene.waits_s() == 1800


def test_gate_refusal_after_all_makes_it_wait_again_but_not_for_long(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.state.known.short_starts["hash"] = 2
    assert scene.waits_s() == 0
    scene.ends(diagnosis=_diagnosis("vram_held"), phase="weights")
    assert scene.waits_s() == UNSURE_WAIT_S


def test_gate_shortage_that_is_not_sure_any_more_is_waited_for_two_minutes_only(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    for _ in range(100):
        first = scene.looks()
    scene.gpus.missing = UNSURE
    assert scene.looks() != first, "it starts earlier than was said"
    assert scene.waits_s() == UNSURE_WAIT_S - 1


def test_gate_shortage_that_becomes_sure_is_waited_for_longer_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.gpus.missing = UNSURE
    for _ in range(100):
        scene.looks()
    scene.gpus.missing = MISSING
    assert scene.waits_s() == 1800 - 100
    scene = Scene(tmp_path / "comes and goes")
    with capture_logs() as logs:
        for second in range(200):
            scene.gpus.missing = (MISSING, UNSURE)[second % 2]
            if scene.looks() is None:
                break
    assert second < 130
    assert len([entry for entry in logs if entry["event"] == EngineRoomAwaited.name]) <= 4


def test_gate_holder_that_grows_is_said_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with capture_logs() as logs:
        for second in range(100):
            holders = (f"nginx: worker (pid 7): {second}.0 GiB", f"b: {99 - second}.0 GiB")
            order = holders if second > 49 else holders[::-1]
            scene.gpus.missing = attrs.evolve(MISSING, holders=order)
            scene.looks()
    assert [entry["event"] for entry in logs] == [EngineRoomAwaited.name]


def test_gate_opens_for_a_start_that_was_requested_and_waits_again_after_it(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.gate.open()
    assert scene.looks() == "", "a start that nobody has kept waiting yet waits"
    scene.looks()
    with capture_logs() as logs:
        scene.gate.open()
        assert scene.looks() is None
    assert logs[0]["why"] == "a start was requested"
    assert scene.looks() == ""


def test_gate_start_that_is_given_up_is_waited_for_no_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.looks()
    scene.state.problem = scene.looks()
    scene.gate.end("it is not to start")
    ended: list[Any] = [scene.state.room_wait, scene.state.problem]
    assert ended == [None, None]
