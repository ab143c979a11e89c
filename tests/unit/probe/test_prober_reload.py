from pathlib import Path

import pytest

from tests.helpers.make import engine
from tests.unit.probe.case import Case, asked, wrong
from vllmd.probe.status import AnswersVerdict


def reloaded(case: Case, text: str) -> None:
    """Have a reload change the engine's table, while its run goes on with the older command."""
    table = f"{text}\n[engines.chat.probe]\n"
    case.prober.configure(engine(table), case.prober._command)


async def test_model_that_is_configured_and_does_not_run_yet_is_not_recorded(case: Case) -> None:
    await case.look()
    reloaded(case, 'quantization = "fp8"')
    await case.clock.advance(3601)
    assert await case.look() is AnswersVerdict.RIGHT
    case.vllm.seed, case.status = 2, case.ready("two")
    assert await case.look() is AnswersVerdict.RIGHT, case.prober.status.found


async def test_reload_while_it_is_asked_is_of_the_next_run(case: Case) -> None:
    case.vllm.told_version = lambda: reloaded(case, 'quantization = "fp8"')
    await case.look()
    case.vllm.told_version = lambda: None
    case.vllm.seed, case.status = 2, case.ready("two")
    assert await case.look() is AnswersVerdict.RIGHT, case.prober.status.found


async def test_files_that_are_replaced_under_an_engine_are_those_of_its_next_run(
    tmp_path: Path,
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.safetensors").write_text("old")
    table = '[engines.chat.probe]\non_mismatch = "drain"'
    case = Case(tmp_path, table, model=str(model))
    await case.look()
    (model / "a.safetensors").write_text("trained on")
    await case.clock.advance(3601)
    assert await case.look() is AnswersVerdict.RIGHT
    case.vllm.seed, case.status = 2, case.ready("two")
    assert await case.look() is AnswersVerdict.WRONG
    assert "another files than when the reference was recorded" in str(case.prober.status.found)
    assert case.answers.wrong is None, "an alert alone: somebody may have trained on"


async def test_older_run_that_nobody_asked_is_not_looked_at(case: Case) -> None:
    case.status = case.ready("one", command_changed=True)
    assert await asked(case) == 0
    assert case.prober.status.verdict is AnswersVerdict.UNKNOWN
    problem = (await case.prober.ask_now("root"))["problem"]
    assert "it runs with another command than it is configured with" in problem
    assert case.prober.status.recorded_at is None


async def test_older_run_that_was_asked_is_compared_as_before(case: Case) -> None:
    await case.look()
    case.prober = case.made('quantization = "fp8"')
    case.status = case.ready("one", command_changed=True)
    await case.clock.advance(3601)
    assert await asked(case) == 1
    assert case.prober.status.verdict is AnswersVerdict.RIGHT
    case.vllm.seed = 2
    await case.clock.advance(3601)
    assert await case.look() is AnswersVerdict.WRONG


async def test_run_known_wrong_is_kept_from_requests_when_it_is_found_late(case: Case) -> None:
    table = '[engines.chat.probe]\non_mismatch = "drain"'
    case.prober = case.made(table)
    await case.look()
    case.vllm.seed, case.status = 2, case.ready("two")
    await case.look()
    assert case.answers.wrong is not None
    case.answers.over()
    case.prober, found = case.made(table), case.status
    case.status = case.ready(None)
    await case.look()
    case.status = found
    await case.look()
    assert case.answers.wrong is not None


@pytest.mark.parametrize("run_id", ["two", "three"])
async def test_red_run_is_asked_again_after_a_reload_that_changes_its_command(
    run_id: str, tmp_path: Path
) -> None:
    """By a daemon that begins with another command: of the run that was wrong, and of the next."""
    drain = '[engines.chat.probe]\non_mismatch = "drain"'
    case = Case(tmp_path, drain)
    await wrong(case)
    case.answers.over()
    case.prober = case.made(f"max_num_seqs = 7\n{drain}")
    older = case.engine_hash(drain)
    case.status = case.ready(run_id, command_changed=True, command_hash=older)
    assert await case.look() is AnswersVerdict.WRONG
    assert case.answers.wrong is not None
    case.vllm.seed = 1
    await case.clock.advance(301)
    assert await case.look() is AnswersVerdict.RIGHT, case.prober.status.found
    assert case.answers.wrong is None
