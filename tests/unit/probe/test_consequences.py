import json

import pytest
import structlog

from tests.helpers.clock import FakeClock
from tests.helpers.make import engine, status
from tests.unit.probe.made import answers
from vllmd.engine.answers import Answers
from vllmd.engine.state_machine import State
from vllmd.probe.consequences import Consequences
from vllmd.probe.identity import AnswersIdentity
from vllmd.probe.reference import KeptProbe, Reference, from_json, to_json

REFERENCE = Reference(AnswersIdentity({}, {}), tuple(answers()), 0.0, 0.0, "vllmd")


class Case:
    def __init__(self, on_mismatch: str) -> None:
        self.clock = FakeClock()
        self.engine = engine(
            f'unready_s = 5\ndrain_s = 10\n[engines.chat.probe]\non_mismatch = "{on_mismatch}"'
        )
        self.status = status(run_id="run", requests_running=0, requests_waiting=0)
        self.answers = Answers()
        self.consequences = Consequences(
            structlog.get_logger(), self.clock, lambda: self.status, lambda: self.answers
        )
        self.kept = KeptProbe(REFERENCE)

    def wrong(self, *changed: str, run_id: str = "run") -> None:
        self.kept = self.consequences.wrong(
            self.kept, self.engine, run_id, "far", "start", changed, "command gpu"
        )

    async def restart(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.consequences.restart_if_due(self.kept, self.engine)
            await self.clock.advance(1)


def test_alert_keeps_no_requests_away() -> None:
    case = Case("alert")
    case.wrong()
    assert case.answers.wrong is None
    assert case.kept.wrong == "far"


def test_drain_keeps_requests_away_until_the_answers_are_right() -> None:
    case = Case("drain")
    case.wrong()
    assert case.answers.wrong == "far"
    case.kept = case.consequences.right(case.kept, REFERENCE, "run", 0.01)
    assert case.answers.wrong is None
    assert case.kept.wrong is None


def test_other_files_are_an_alert_alone() -> None:
    case = Case("drain")
    case.wrong("vllm", "files")
    assert case.answers.wrong is None
    assert case.kept.wrong == "far; another vllm, files than when the reference was recorded"


async def test_restart_waits_until_it_was_red_and_leaves_requests_to_the_drain() -> None:
    case = Case("restart")
    case.wrong()
    assert case.answers.wrong == "far"
    case.status = status(run_id="run", requests_running=2, requests_waiting=0)
    await case.restart(5)
    assert case.answers.verdict("run") is None
    await case.restart(2)
    assert case.answers.verdict("run") is not None


@pytest.mark.parametrize("seconds", [3, 7])
@pytest.mark.parametrize("taken_back", ["right", "alert"])
async def test_run_that_is_to_end_is_let_live_when_that_is_taken_back(
    taken_back: str, seconds: int
) -> None:
    case = Case("restart")
    case.wrong()
    await case.restart(seconds)
    assert (case.answers.verdict("run") is not None) == (seconds > 5)
    if taken_back == "right":
        case.kept = case.consequences.right(case.kept, REFERENCE, "run", 0.0)
    else:
        case.kept = case.consequences.alert_alone(case.kept)
    await case.restart(60)
    assert case.answers.verdict("run") is None
    assert case.answers.wrong is None


async def test_daemon_that_is_replaced_before_the_end_goes_on_with_it() -> None:
    case = Case("restart")
    case.wrong()
    assert (case.kept.ending, case.kept.restarts) == ("run", 0)
    case.kept = from_json(json.loads(json.dumps(to_json(case.kept))))
    case.answers = Answers()
    await case.restart(7)
    assert case.answers.verdict("run") is not None


def test_later_run_of_the_same_takes_no_requests_until_it_was_asked() -> None:
    case = Case("drain")
    case.wrong()
    case.answers.over()
    case.consequences.carry(case.kept, "next", "command gpu")
    assert case.answers.wrong == "far"
    case.consequences.carry(case.kept, "next", "command")
    assert case.answers.wrong == "far", "its GPUs were not read yet"
    for other in ("another gpu", "command other"):
        case.consequences.carry(case.kept, "next", other)
        assert case.answers.wrong is None
    case.wrong("files")
    case.consequences.carry(case.kept, "third", "command gpu")
    assert case.answers.wrong is None, "that was an alert alone"


async def test_start_that_did_not_help_is_not_made_again() -> None:
    case = Case("restart")
    case.wrong()
    case.status = status(run_id="next", requests_running=0)
    case.wrong(run_id="next")
    assert (case.kept.restarts, case.kept.ending) == (1, None)
    await case.restart(60)
    assert case.answers.verdict("next") is None
    assert case.answers.wrong == "far"
    case.kept = case.consequences.right(case.kept, REFERENCE, "next", 0.0)
    assert (case.kept.restarts, case.kept.ending) == (0, None)


async def test_run_that_ended_meanwhile_is_left_alone() -> None:
    case = Case("restart")
    case.wrong()
    case.status = status(run_id="run", state=State.SLEEPING)
    await case.restart(60)
    assert case.answers.verdict("run") is None
