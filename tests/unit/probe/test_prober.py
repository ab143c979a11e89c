import asyncio
import itertools
from pathlib import Path

import pytest

from tests.helpers.make import engine, status
from tests.unit.probe.case import Case, asked, wrong
from vllmd.config import command
from vllmd.engine.state_machine import State, Trigger
from vllmd.errors import HeldError
from vllmd.probe.prober import GpuSight
from vllmd.probe.status import AnswersVerdict


async def test_first_start_records_its_answers(case: Case) -> None:
    assert await case.look() is AnswersVerdict.RIGHT
    found = case.prober.status
    assert (found.recorded_by, found.recorded_with) == ("vllmd", "0.32.0")
    assert found.distance == 0
    assert sum(each[3] for each in case.spent) == len(case.vllm.asked)
    assert {each[0] for each in case.spent} == {"one"}


async def test_each_start_is_asked_once(case: Case) -> None:
    await case.look()
    assert await asked(case) == 0
    case.status = case.ready("two")
    assert case.prober.status.to_json()["verdict"] == "unknown"
    assert await asked(case) == 1
    assert case.prober.status.to_json()["verdict"] == "right"


async def test_wake_gpu_error_and_corrupted_requests_are_reasons(case: Case) -> None:
    await case.look()
    case.status = case.ready("one", transitions={(Trigger.SLEPT, State.SLEEPING): 1})
    assert await asked(case) == 1
    case.gpus = GpuSight(("H200",), faults={"ecc a": 1.0})
    assert await asked(case) == 1
    await case.clock.advance(121)
    case.corrupted = 3.0
    assert await asked(case) == 1
    assert await asked(case) == 0


async def test_idle_engine_is_asked_every_so_often_and_a_busy_one_later(case: Case) -> None:
    await case.look()
    await case.clock.advance(3599)
    assert await asked(case) == 0
    await case.clock.advance(2)
    assert await asked(case) == 1
    case.status = status(run_id="one", requests_running=3, requests_waiting=0)
    await case.clock.advance(4000)
    assert await asked(case) == 0
    await case.clock.advance(4000)
    assert await asked(case) == 1


@pytest.mark.parametrize("state", [State.SLEEPING, State.LOADING, State.DRAINING, State.STALLED])
async def test_engine_that_does_not_serve_is_not_asked(case: Case, state: State) -> None:
    case.status = case.ready("one", state=state)
    assert await asked(case) == 0
    with pytest.raises(HeldError, match=f"it is {state}"):
        await case.prober.ask_now()


async def test_other_answers_are_wrong_and_right_again(case: Case) -> None:
    await case.look()
    case.vllm.seed, case.status = 2, case.ready("two")
    assert await case.look() is AnswersVerdict.WRONG
    found = case.prober.status
    assert (found.asked, found.mismatches) == (4, 3)
    assert found.found is not None
    assert "nats from the reference" in found.found
    case.vllm.seed = 1
    await case.clock.advance(301)
    assert await case.look() is AnswersVerdict.RIGHT


async def test_what_was_found_outlives_the_daemon(case: Case) -> None:
    await case.look()
    case.vllm.seed, case.status = 2, case.ready("two")
    await case.look()
    before = case.vllm.probes
    case.prober = case.made()
    assert await case.look() is AnswersVerdict.WRONG
    assert case.vllm.probes == before, "the run that was asked goes on"


async def test_upgrade_that_answers_the_same_is_recorded_anew(case: Case) -> None:
    await case.look()
    case.vllm.version, case.status = "0.33.0", case.ready("two")
    assert await case.look() is AnswersVerdict.RIGHT
    assert case.prober.status.recorded_with == "0.33.0"


async def test_upgrade_that_answers_otherwise_never_takes_the_place_of_the_reference(
    case: Case,
) -> None:
    await case.look()
    case.vllm.version, case.vllm.seed, case.status = "0.33.0", 2, case.ready("two")
    assert await case.look() is AnswersVerdict.WRONG
    found = case.prober.status
    assert found.recorded_with == "0.32.0"
    assert "another vllm than when the reference was recorded" in str(found.found)


async def test_another_model_in_the_command_is_recorded_anew(tmp_path: Path) -> None:
    case = Case(tmp_path, 'quantization = "fp8"')
    await case.look()
    case.prober = case.made()
    case.vllm.seed, case.status = 2, case.ready("two")
    assert await case.look() is AnswersVerdict.RIGHT


@pytest.mark.long
async def test_record_takes_the_present_answers_for_right(case: Case) -> None:
    await case.look()
    case.vllm.seed = 2
    assert (await case.prober.ask_now())["verdict"] == "wrong"
    found = await case.prober.ask_now("root")
    assert (found["verdict"], found["recorded_by"]) == ("right", "root")


async def test_ask_says_where_and_by_what_it_differs(case: Case) -> None:
    await case.look()
    case.vllm.seed = 2
    found = await case.prober.ask_now()
    assert found["engine"] == "chat"
    assert found["expected"] != found["given"]
    assert found["expected"][0]["logprob"] <= 0


async def test_engine_that_does_not_answer_is_asked_again_later(case: Case) -> None:
    case.vllm.status = 503
    assert await case.look() is AnswersVerdict.UNKNOWN
    assert "it was not asked: HTTP 503" in str(case.prober.status.found)
    case.vllm.status = 200
    assert await asked(case) == 0
    await case.clock.advance(61)
    assert await case.look() is AnswersVerdict.RIGHT


async def test_engine_without_such_answers_is_not_applicable(case: Case) -> None:
    case.vllm.status, case.vllm.text = 404, "does not support Completions API"
    assert await case.look() is AnswersVerdict.NOT_APPLICABLE
    assert "Completions API" in str(case.prober.status.found)


async def test_numbers_that_are_none_are_wrong_at_the_first_start(case: Case) -> None:
    case.vllm.status, case.vllm.text = 500, "not JSON compliant: nan"
    assert await case.look() is AnswersVerdict.WRONG


async def test_answers_that_do_not_agree_are_not_recorded(case: Case) -> None:
    case.vllm.seeds = [1, 2, 1]
    assert await case.look() is AnswersVerdict.UNKNOWN
    assert "not taken for right" in str(case.prober.status.found)
    assert case.prober.status.recorded_at is None


async def test_drain_keeps_requests_away_and_reload_to_alert_lets_them_come(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path, '[engines.chat.probe]\non_mismatch = "drain"')
    await case.look()
    case.vllm.seed, case.status = 2, case.ready("two")
    await case.look()
    assert case.answers.wrong is not None
    found = engine("[engines.chat.probe]")
    case.prober.configure(found, command.build(found))
    assert case.answers.wrong is None


@pytest.mark.long
async def test_faults_that_go_on_are_asked_for_less_and_less(case: Case) -> None:
    await case.look()
    times = []
    for second in range(0, 600, 2):
        case.corrupted += 1.0
        if await asked(case):
            times.append(second)
        await case.clock.advance(2)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == [60, 120, 240]


@pytest.mark.long
@pytest.mark.parametrize("by", ["record", "right", "reload"])
async def test_restart_is_taken_back_before_the_run_is_ended(tmp_path: Path, by: str) -> None:
    case = Case(tmp_path, 'unready_s = 30\n[engines.chat.probe]\non_mismatch = "restart"')
    await case.look()
    case.vllm.seed, case.status = 2, case.ready("two")
    task = asyncio.ensure_future(case.prober.run())
    await case.clock.advance(10)
    assert case.answers.wrong is not None
    if by == "reload":
        found = engine("[engines.chat.probe]")
        case.prober.configure(found, command.build(found))
    else:
        case.vllm.seed = 2 if by == "record" else 1
        await case.prober.ask_now("root" if by == "record" else None)
    await case.clock.advance(60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert case.answers.wrong is None
    assert case.answers.verdict("two") is None


async def test_wrong_engine_that_refuses_once_stays_wrong_and_is_asked_soon(case: Case) -> None:
    await wrong(case)
    case.vllm.status, case.vllm.text = 404, "no such model"
    await case.clock.advance(301)
    assert await case.look() is AnswersVerdict.WRONG
    assert "nats" in str(case.prober.status.found)
    case.vllm.status, case.vllm.text, case.vllm.seed = 200, None, 1
    await case.clock.advance(61)
    assert await case.look() is AnswersVerdict.RIGHT


@pytest.mark.parametrize("reason", ["start", "wake", "reload"])
async def test_engine_that_refused_is_asked_again_when_something_is_another(
    case: Case, reason: str
) -> None:
    case.vllm.status, case.vllm.text = 404, "no such model"
    await case.look()
    case.vllm.status, case.vllm.text = 200, None
    assert await asked(case) == 0
    if reason == "start":
        case.status = case.ready("two")
    elif reason == "wake":
        case.status = case.ready("one", transitions={(Trigger.SLEPT, State.SLEEPING): 1})
    else:
        case.prober.configure(case.engine, command.build(case.engine))
    assert await case.look() is AnswersVerdict.RIGHT


@pytest.mark.parametrize("state", [State.SLEEPING, State.DRAINING])
async def test_engine_that_stops_serving_in_a_probe_is_asked_no_more(
    case: Case, state: State
) -> None:
    def told() -> None:
        if len(case.vllm.asked) == 2:
            case.status = case.ready("one", state=state)

    case.vllm.told = told
    await case.look()
    assert len(case.vllm.asked) == 2
    assert f"it was not asked: it is {state} now" in str(case.prober.status.found)


async def test_one_broken_answer_at_the_first_start_is_told_and_not_wrong(case: Case) -> None:
    case.vllm.broken = 1
    assert await case.look() is AnswersVerdict.RIGHT
    assert case.prober.status.mismatches == 1


@pytest.mark.long
async def test_record_that_is_refused_leaves_the_run_unknown(case: Case) -> None:
    await case.look()
    case.vllm.seeds = [1, 2, 1]
    found = await case.prober.ask_now("root")
    assert (found["verdict"], found["recorded"], found["recorded_by"]) == (
        "unknown",
        False,
        "vllmd",
    )
    assert await asked(case) == 0
    assert (await case.prober.ask_now("root"))["recorded"]


@pytest.mark.long
async def test_record_that_is_refused_leaves_wrong_answers_wrong(tmp_path: Path) -> None:
    case = Case(tmp_path, '[engines.chat.probe]\non_mismatch = "drain"')
    await wrong(case)
    case.vllm.seeds = [2, 1, 2]
    found = await case.prober.ask_now("root")
    assert (found["verdict"], found["recorded"]) == ("wrong", False)
    assert case.answers.wrong is not None


async def test_verdict_that_nobody_could_renew_for_long_is_none_any_more(case: Case) -> None:
    assert await case.look() is AnswersVerdict.RIGHT
    case.vllm.status, case.vllm.text = 500, "busy"
    await case.clock.advance(3 * 3600)
    assert await case.look() is AnswersVerdict.RIGHT
    await case.clock.advance(61)
    assert await case.look() is AnswersVerdict.UNKNOWN
    assert "busy" in str(case.prober.status.found)
    case.vllm.status, case.vllm.text = 200, None
    await case.clock.advance(61)
    assert await case.look() is AnswersVerdict.RIGHT


async def test_run_whose_answers_are_not_recorded_was_asked_whatever_its_clock_says(
    case: Case,
) -> None:
    case.vllm.seeds = [1, 2, 1]
    assert not case.prober.status.asked_in_run
    assert await case.look() is AnswersVerdict.UNKNOWN
    assert case.prober.status.asked_in_run
    case.status = case.ready("two")
    assert not case.prober.status.asked_in_run
