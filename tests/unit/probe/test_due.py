import itertools
import math
from typing import Any

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import status
from vllmd.engine.state_machine import State, Trigger
from vllmd.engine.status import EngineStatus
from vllmd.probe.due import FAULT_PAUSE_S, RETRY_S, WRONG_AGAIN_S, Due


class Case:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.faults = {"xids a": 0.0, "ecc a": 0.0}
        self.corrupted = 0.0
        self.due = Due(self.clock, lambda: self.faults, lambda: self.corrupted)
        self.due.asked(self.due.sight(ready()))

    def why(self, now: EngineStatus | None = None, *, wrong: bool = False) -> str | None:
        return self.due.why(now or ready(), 3600.0, wrong=wrong)


def ready(run_id: str = "one", **more: Any) -> EngineStatus:
    return status(run_id=run_id, requests_running=0, requests_waiting=0, **more)


SLEPT = {(Trigger.SLEPT, State.SLEEPING): 1}


def test_each_reason_has_its_name() -> None:
    case = Case()
    assert case.why() is None
    assert case.why(ready("two")) == "start"
    assert case.why(ready(transitions=SLEPT)) == "wake"
    assert case.why(ready("two", state=State.SLEEPING)) is None
    case.faults = {"ecc a": 1.0}
    assert case.why() == "gpu_error"


async def test_wrong_answers_are_asked_for_sooner() -> None:
    case = Case()
    await case.clock.advance(WRONG_AGAIN_S)
    assert case.why() is None
    assert case.why(wrong=True) == "time"


def test_wait_is_for_that_run_and_that_wake() -> None:
    case = Case()
    case.corrupted = 1.0
    case.due.wait(case.due.sight(ready()), RETRY_S)
    assert case.why() is None
    assert case.why(ready("two")) == "start"
    assert case.why(ready(transitions=SLEPT)) == "wake"
    case.due.now()
    assert case.why() == "corrupted_requests"


async def test_faults_that_go_on_are_asked_for_less_and_less_and_later_ones_at_once() -> None:
    case = Case()
    times = []

    async def go_on(seconds: int) -> None:
        for _ in range(seconds):
            case.corrupted += 1
            if case.why() == "corrupted_requests":
                times.append(case.clock.now)
                case.due.asked(case.due.sight(ready()))
            await case.clock.advance(1)

    await go_on(500)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == [FAULT_PAUSE_S, 2 * FAULT_PAUSE_S, 4 * FAULT_PAUSE_S]
    await case.clock.advance(1200)
    case.due.asked(case.due.sight(ready()))
    times.clear()
    await go_on(70)
    assert [after - before for before, after in itertools.pairwise(times)] == [FAULT_PAUSE_S]


def test_faults_are_open_until_the_first_reading() -> None:
    case = Case()
    case.faults = {}
    case.due.resume(ready(), "one", 0.0)
    assert case.why() is None
    case.faults = {"xids a": 2.0}
    assert case.why() is None
    case.faults = {"xids a": 2.0, "ecc a": 3.0}  # ECC is read a moment later
    assert case.why() is None
    case.faults = {"xids a": 2.0}  # it is not read for a moment
    assert case.why() is None
    case.faults = {"xids a": 2.0, "ecc a": 3.0, "xids b": 7.0}  # another GPU is its own, too
    assert case.why() is None
    case.faults = {"xids a": 2.0, "ecc a": 4.0}
    assert case.why() == "gpu_error"


def test_fault_that_comes_while_a_count_was_not_read_is_seen_after_a_probe() -> None:
    case = Case()
    case.faults = {"xids a": 0.0}
    case.due.asked(case.due.sight(ready()))
    case.faults = {"xids a": 0.0, "ecc a": 1.0}
    assert case.why() == "gpu_error"


def test_count_that_began_anew_is_looked_at_from_there() -> None:
    case = Case()
    case.faults = {"ecc a": 9.0}
    case.due.asked(case.due.sight(ready()))
    case.faults = {"ecc a": 0.0}
    assert case.why() is None
    case.faults = {"ecc a": 1.0}
    assert case.why() == "gpu_error"


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_count_that_is_none_is_no_reason_and_hides_no_later_one(value: float) -> None:
    case = Case()
    case.corrupted = value
    assert case.why() is None
    case.due.asked(case.due.sight(ready()))
    case.corrupted = 1.0
    assert case.why() == "corrupted_requests"


def test_what_was_not_asked_for_three_times_as_long_is_overdue() -> None:
    case = Case()
    case.clock.now += 3 * 3600
    assert not case.due.is_overdue(3600)
    case.clock.now += 1
    assert case.due.is_overdue(3600)
    case.due.asked(case.due.sight(ready()))
    assert not case.due.is_overdue(3600)
