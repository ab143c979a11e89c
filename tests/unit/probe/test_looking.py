from collections.abc import Sequence

import pytest

from tests.unit.probe.made import FakeVllm, answers
from vllmd.engine.answers import Answers
from vllmd.probe.answer import PromptAnswer
from vllmd.probe.asking import Asker, NotAskedError
from vllmd.probe.identity import AnswersIdentity
from vllmd.probe.judge import TOLERANCE
from vllmd.probe.looking import UNSURE, Looking
from vllmd.probe.prompts import PROMPTS
from vllmd.probe.reference import Reference

REFERENCE = Reference(AnswersIdentity({}, {}), tuple(answers()), 0.0, 0.0, "vllmd")


def looking(vllm: FakeVllm, spent: list[int] | None = None) -> Looking:
    def note(found: Sequence[PromptAnswer]) -> None:
        if spent is not None:
            spent.append(len(found))

    return Looking(Asker(vllm.client(), "http://127.0.0.1:1", "chat"), Answers(), note)


async def test_right_answers_are_asked_once() -> None:
    vllm, spent = FakeVllm(), list[int]()
    found = await looking(vllm, spent).look(REFERENCE, TOLERANCE)
    assert (found.wrong, found.differed, found.mismatches) == (None, None, 0)
    assert vllm.probes == 1
    assert spent == [len(PROMPTS)]


async def test_wrong_answers_are_asked_three_times() -> None:
    vllm = FakeVllm()
    vllm.seed = 2
    found = await looking(vllm).look(REFERENCE, TOLERANCE)
    assert found.wrong is not None
    assert (vllm.probes, found.asked, found.mismatches) == (3, 3, 3)


@pytest.mark.parametrize(
    ("seeds", "wrong"), [([2, 1, 1], False), ([2, 1, 2], True), ([2, 2, 1], True)]
)
async def test_most_of_what_was_asked_decides(seeds: list[int], wrong: bool) -> None:
    vllm = FakeVllm()
    vllm.seeds = seeds
    found = await looking(vllm).look(REFERENCE, TOLERANCE)
    assert (found.wrong is not None) == wrong
    assert (found.differed is not None) != wrong


async def test_broken_answers_are_wrong_ones() -> None:
    vllm = FakeVllm()
    vllm.status, vllm.text = 500, "not JSON compliant: nan"
    found = await looking(vllm).look(REFERENCE, TOLERANCE)
    assert found.wrong is not None
    assert "is no number" in found.wrong
    before = vllm.probes
    made = await looking(vllm).record()
    assert made.broken is not None
    assert "is no number" in made.broken
    assert (made.asked, made.mismatches) == (3, 3)
    assert len(vllm.asked) - before * len(PROMPTS) >= 3, "asked again, twice"


@pytest.mark.parametrize(("most", "wrong"), [(1, False), (2, True)])
async def test_broken_answer_at_the_first_recording_is_asked_for_again(
    most: int, wrong: bool
) -> None:
    vllm = FakeVllm()
    vllm.broken = most
    made = await looking(vllm).record()
    assert (made.broken is not None) == wrong
    assert (made.differed is not None) != wrong
    assert made.mismatches == most


async def test_engine_that_falls_asleep_between_two_prompts_is_asked_no_more() -> None:
    vllm = FakeVllm()

    def check() -> None:
        if len(vllm.asked) == 2:
            raise NotAskedError("it is asleep now")

    asker = Asker(vllm.client(), "http://127.0.0.1:1", "chat")
    look = Looking(asker, Answers(), lambda _: None, check)
    with pytest.raises(NotAskedError):
        await look.record()
    assert len(vllm.asked) == 2


async def test_answers_that_agree_are_recorded() -> None:
    vllm = FakeVllm()
    made = await looking(vllm).record()
    assert list(made.answers) == answers()
    assert (made.noise, made.problem, made.warning) == (0, None, None)
    assert vllm.probes == 3


async def test_answers_that_do_not_agree_are_no_reference() -> None:
    vllm = FakeVllm()
    vllm.seeds = [1, 2, 1]
    made = await looking(vllm).record()
    assert made.problem is not None
    assert "nats from each other" in made.problem


async def test_answers_of_an_untrained_model_are_said_to_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vllmd.probe.looking.LEAST_SURE", 0.99)
    assert (await looking(FakeVllm()).record()).warning == UNSURE
