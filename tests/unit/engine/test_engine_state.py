from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.engine_state import EngineState
from vllmd.engine.exits import Exit
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading
from vllmd.engine.process.run_state import Endpoint, Run, RunStates
from vllmd.engine.restart.policy import Failure, Hold, RestartHistory
from vllmd.engine.restart.state_file import RestartStateFile
from vllmd.engine.state_machine import State, Trigger
from vllmd.events.engine import EngineReleased, EngineStateChanged


def ledger_at(folder: Path, clock: FakeClock) -> EngineState:
    return EngineState("chat", clock, RestartStateFile(folder / "chat.json"))


RUN = Run("run-1", "hash", Endpoint("127.0.0.1", 8000, "m"))
END = Exit("0", requested=False, at=1.0, run_id="r", tail=("last words",))


async def test_to_logs_one_line_a_transition(tmp_path: Path) -> None:
    clock = FakeClock()
    with capture_logs() as logs:
        engine_state = ledger_at(tmp_path, clock)
        await clock.advance(3)
        engine_state.to(Trigger.START)
    (entry,) = logs
    assert entry["event"] == EngineStateChanged.name
    assert (entry["before"], entry["state"], entry["after_s"]) == ("stopped", "starting", 3.0)
    assert engine_state.since == clock.time()


async def test_ended_counts_and_measures_readiness(tmp_path: Path) -> None:
    clock = FakeClock()
    engine_state = ledger_at(tmp_path, clock)
    engine_state.spawned(RUN, seen=True)
    for event in (Trigger.START, Trigger.SPAWNED):
        engine_state.to(event)
    await clock.advance(40)
    engine_state.ready()
    assert (engine_state.state, engine_state.start_duration_s) == (State.READY, 40)
    await clock.advance(100)
    with capture_logs() as logs:
        engine_state.ended(END)
    assert (engine_state.ready_s, dict(engine_state.known.exits)) == (100, {("0", False): 1})
    assert (logs[0]["log_level"], logs[0]["last_line"]) == ("error", "last words")
    engine_state.ended(END)
    assert engine_state.ready_s == 0


@pytest.mark.parametrize("found", ["nothing", "the run"])
def test_run_that_was_taken_for_over_is_no_sign_against_the_next(
    tmp_path: Path, found: str
) -> None:
    """A mistake came between an end and its account; what runs then would stay red for ever."""
    engine_state = ledger_at(tmp_path, FakeClock())
    engine_state.spawned(RUN, seen=True)
    for event in (Trigger.START, Trigger.SPAWNED):
        engine_state.to(event)
    engine_state.ready()
    engine_state.is_over = True
    if found == "nothing":
        engine_state.begin_anew()
    else:
        assert engine_state.resume(RUN.run_id, ending=False)
    assert not engine_state.is_over


def test_had_served_is_known_of_the_run_that_the_daemon_before_followed(tmp_path: Path) -> None:
    clock, states = FakeClock(), RunStates(tmp_path / "state.json")
    first = EngineState("chat", clock, RestartStateFile(tmp_path / "chat.json"), states)
    first.spawned(RUN, seen=True)
    for event in (Trigger.START, Trigger.SPAWNED):
        first.to(event)
    assert not first.had_served("run-1")
    first.ready()
    assert first.had_served("run-1")
    assert not first.had_served("run-2")
    second = EngineState("chat", clock, RestartStateFile(tmp_path / "chat.json"), states)
    assert second.had_served("run-1")
    assert not second.had_served("run-2")
    first.ended(END)
    assert not second.had_served("run-1")


@pytest.mark.parametrize("set_by_s", [-400 * 86400.0, -3600.0, 7200.0, 400 * 86400.0])
async def test_clock_that_is_set_changes_no_age_of_a_failure_or_a_hold(
    tmp_path: Path, set_by_s: float
) -> None:
    clock = FakeClock()
    engine_state = ledger_at(tmp_path, clock)
    at = clock.time()
    engine_state.known.past = RestartHistory(failures=(Failure(at - 60, "crash"),))
    engine_state.hold(Hold("crash", "why", at, at + 900, "hash"))
    await clock.advance(100)
    clock.step(set_by_s)
    engine_state.follow_clock()
    engine_state.follow_clock()
    for known in (engine_state.known, ledger_at(tmp_path, clock).known):
        assert known.hold is not None
        assert known.hold.retry_at is not None
        assert clock.time() - known.past.failures[0].at == pytest.approx(160)
        assert clock.time() - known.hold.since == pytest.approx(100)
        assert known.hold.retry_at - clock.time() == pytest.approx(800)
    retry_at = engine_state.retry_at(900)
    assert retry_at is not None
    assert retry_at.monotonic - clock.monotonic() == pytest.approx(800)


def test_found_is_logged_once_until_it_changes(tmp_path: Path) -> None:
    engine_state = ledger_at(tmp_path, FakeClock())
    with capture_logs() as logs:
        for problem in ("a", "a", "b"):
            engine_state.found(problem)
    assert [entry["problem"] for entry in logs] == ["a", "b"]


def begun(folder: Path, clock: FakeClock) -> EngineState:
    engine_state = ledger_at(folder, clock)
    engine_state.spawned(RUN, seen=True)
    for event in (Trigger.START, Trigger.SPAWNED):
        engine_state.to(event)
    return engine_state


async def test_counts_first_failure_and_hold_outlive_the_daemon(tmp_path: Path) -> None:
    clock = FakeClock()
    engine_state = begun(tmp_path, clock)
    engine_state.ready()
    engine_state.ended(END)
    engine_state.known.restarts = 3
    hold = Hold("lora_rank", "Raise it.", 1.0, 2.0, "hash", fine=False)
    engine_state.hold(hold)
    later = ledger_at(tmp_path, clock)
    assert later.known.exits == {("0", False): 1}
    assert (later.known.restarts, later.known.hold) == (3, hold)
    assert later.known.past.proven == ("hash",)
    assert later.known.last_exit is not None
    assert later.known.last_exit.label == "0"
    with capture_logs() as logs:
        assert later.release("it was mended") == hold
        assert later.release("twice") is None
    assert [entry["event"] for entry in logs] == [EngineReleased.name]
    assert ledger_at(tmp_path, clock).known.hold is None


@pytest.mark.parametrize(("requested", "lost"), [(False, 5), (True, 0)])
def test_ended_counts_requests_that_were_in_flight_once(
    tmp_path: Path, requested: bool, lost: int
) -> None:
    engine_state = ledger_at(tmp_path, FakeClock())
    ranks = {"0": RankProgress(steps=1, running=3, waiting=2)}
    engine_state.show(Reading(1.0, PageAnswer.PAGE, ranks))
    for _ in range(2):
        engine_state.ended(attrs.evolve(END, requested=requested))
    assert engine_state.known.requests_lost == lost
    assert ledger_at(tmp_path, FakeClock()).known.requests_lost == lost


def told_of(end: Exit, folder: Path) -> dict[str, object]:
    with capture_logs() as logs:
        ledger_at(folder, FakeClock()).ended(end)
    (entry,) = logs
    return dict(entry)


def test_ended_tells_an_end_that_nobody_asked_for_as_an_error_with_its_cause(
    tmp_path: Path,
) -> None:
    why = Diagnosis("cuda_oom", Kind.CONFIGURATION, "It was full.", "Use less.", ("OOM",))
    entry = told_of(attrs.evolve(END, diagnosis=why, killed=("EngineCore",)), tmp_path)
    assert list(entry.items()) == [
        ("engine", "chat"),
        ("code", "0"),
        ("requested", False),
        ("text", "exited with code 0 unexpectedly; left behind and killed: EngineCore"),
        ("run_id", "r"),
        ("cause", "cuda_oom"),
        ("kind", str(Kind.CONFIGURATION)),
        ("explanation", "It was full."),
        ("advice", "Use less."),
        ("evidence", ["OOM"]),
        ("phase", None),
        ("killed", ["EngineCore"]),
        ("incident", None),
        ("last_line", "last words"),
        ("event", "engine.exited"),
        ("log_level", "error"),
    ]


def test_ended_tells_an_end_that_was_asked_for_as_routine_without_a_cause(tmp_path: Path) -> None:
    entry = told_of(attrs.evolve(END, requested=True), tmp_path)
    assert entry["log_level"] == "info"
    assert {"cause", "kind", "explanation", "advice", "evidence"}.isdisjoint(entry)
