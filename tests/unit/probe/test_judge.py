import math

import attrs
import pytest

from tests.unit.probe.made import answers
from vllmd.probe.judge import (
    MOST,
    OTHER_NUMERICS,
    TOLERANCE,
    judge,
    limit_of,
    mean_sureness,
    most_central,
    noise_of,
)


def test_answers_with_noise_are_right_and_those_of_another_model_are_not() -> None:
    expected = answers()
    right = judge(expected, answers(noise=0.05), TOLERANCE)
    assert not right.differs
    assert 0 < right.distance < TOLERANCE
    wrong = judge(expected, answers(2), TOLERANCE)
    assert wrong.differs
    assert "nats from the reference" in wrong.text


def test_one_prompt_that_is_wrong_from_its_first_token_on_is_not_lost() -> None:
    expected, found = answers(), answers()
    found[2] = answers(2)[2]
    judged = judge(expected, found, TOLERANCE)
    assert judged.differs
    assert judged.prompt == 2
    assert "prompt 3 at token 1" in judged.text


def test_other_tokens_are_another_tokenizer() -> None:
    found = answers()
    found[1] = attrs.evolve(found[1], tokens=(9,))
    judged = judge(answers(), found, TOLERANCE)
    assert judged.differs
    assert judged.distance == math.inf
    assert judged.text == "prompt 2 is split into other tokens: the tokenizer is another one"


@pytest.mark.parametrize(
    ("noise", "other", "limit"),
    [
        (0.0, False, TOLERANCE),
        (0.1, False, 0.4),
        (5.0, False, MOST),
        (0.0, True, TOLERANCE * OTHER_NUMERICS),
    ],
)
def test_limit_grows_with_the_noise_and_with_other_numerics(
    noise: float, other: bool, limit: float
) -> None:
    assert limit_of(TOLERANCE, noise, other_numerics=other) == pytest.approx(limit)


def test_noise_is_the_greatest_distance_among_rounds() -> None:
    one, two = answers(), answers(noise=0.1)
    assert noise_of([one, one]) == 0
    assert noise_of([one, one, two]) == judge(one, two, 1).distance
    assert noise_of([one]) == 0


def test_what_is_recorded_is_no_outlier() -> None:
    one, two, outlier = answers(), answers(noise=0.01), answers(2)
    assert most_central([outlier, one, two]) in (one, two)


def test_untrained_model_is_hardly_sure() -> None:
    assert mean_sureness(answers()) > 0.3
