from pathlib import Path

from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.unit.engine.test_engine_state import RUN, begun, ledger_at


def test_reach_is_logged_when_it_changes(tmp_path: Path) -> None:
    engine_state = ledger_at(tmp_path, FakeClock())
    with capture_logs() as logs:
        for phase in ("weights", "weights", "kv_cache"):
            engine_state.reach(phase)
    assert [entry["phase"] for entry in logs] == ["weights", "kv_cache"]


async def test_phases_are_timed_and_the_next_start_is_estimated(tmp_path: Path) -> None:
    clock = FakeClock()
    engine_state = begun(tmp_path, clock)
    assert engine_state.start_left_s() is None
    for phase, seconds in (("init", 10), ("weights", 30), ("listening", 1)):
        await clock.advance(seconds)
        engine_state.reach(phase)
    engine_state.ready()
    took = {"spawn": 10, "init": 30, "weights": 1, "listening": 0}
    assert engine_state.phase_durations() == took
    again = begun(tmp_path, clock)
    assert again.start_left_s() == 41
    await clock.advance(4)
    assert again.start_left_s() == 37
    await clock.advance(16)  # longer than usual
    assert again.start_left_s() == 31
    again.reach("weights")  # a phase that was passed over
    assert again.start_left_s() == 1


async def test_a_start_that_fails_has_no_time_left_and_reaches_nothing(tmp_path: Path) -> None:
    clock = FakeClock()
    engine_state = begun(tmp_path, clock)
    await clock.advance(10)
    engine_state.reach("init")
    engine_state.ready()
    again = begun(tmp_path, clock)
    again.start_fails = True
    again.reach("warm_up")
    assert (again.phase, again.start_left_s()) == (None, None)
    again.spawned(RUN, seen=True)
    assert again.start_left_s() == 10


async def test_a_phase_is_told_with_how_long_ago_it_began(tmp_path: Path) -> None:
    clock = FakeClock()
    engine_state = begun(tmp_path, clock)
    await clock.advance(20)
    with capture_logs() as logs:
        engine_state.reach("compile", clock.time() - 12.94)
        engine_state.reach("kv_cache")
    assert [entry.get("ago_s") for entry in logs] == [12.9, None]


def test_phase_durations_of_a_start_that_was_not_seen_are_not_known(tmp_path: Path) -> None:
    engine_state = ledger_at(tmp_path, FakeClock())
    engine_state.spawned(RUN, seen=False)
    engine_state.reach("weights")
    assert (engine_state.phase, engine_state.phase_durations(), engine_state.start_left_s()) == (
        "weights",
        {},
        None,
    )
