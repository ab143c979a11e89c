from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from vllmd import events
from vllmd.engine.exits import Exit
from vllmd.engine.ledger import Ledger
from vllmd.engine.state import Event, State

END = Exit("0", requested=False, at=1.0, run_id="r", tail=("last words",))


async def test_to_logs_one_line_a_transition() -> None:
    clock = FakeClock()
    with capture_logs() as logs:
        ledger = Ledger("chat", clock)
        await clock.advance(3)
        ledger.to(Event.START)
    (entry,) = logs
    assert entry["event"] == events.STATE_CHANGED
    assert (entry["before"], entry["state"], entry["after_s"]) == ("stopped", "starting", 3.0)
    assert ledger.since == clock.time()


async def test_ended_counts_and_measures_readiness() -> None:
    clock = FakeClock()
    ledger = Ledger("chat", clock)
    for event in (Event.START, Event.SPAWNED):
        ledger.to(event)
    ledger.ready(clock.time() - 40)
    assert (ledger.state, ledger.start_duration_s) == (State.READY, 40)
    await clock.advance(100)
    with capture_logs() as logs:
        ledger.ended(END)
    assert (ledger.ready_s, dict(ledger.exits)) == (100, {("0", False): 1})
    assert (logs[0]["log_level"], logs[0]["last_line"]) == ("error", "last words")
    ledger.ended(END)
    assert ledger.ready_s == 0


def test_found_is_logged_once_until_it_changes() -> None:
    ledger = Ledger("chat", FakeClock())
    with capture_logs() as logs:
        for problem in ("a", "a", "b"):
            ledger.found(problem)
    assert [entry["problem"] for entry in logs] == ["a", "b"]


def test_reach_is_logged_when_it_changes() -> None:
    ledger = Ledger("chat", FakeClock())
    with capture_logs() as logs:
        for phase in ("weights", "weights", "kv_cache"):
            ledger.reach(phase)
    assert [entry["phase"] for entry in logs] == ["weights", "kv_cache"]
