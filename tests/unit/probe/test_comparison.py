import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.probe.made import VOCABULARY, answers, from_logits, position
from vllmd.probe.answer import PromptAnswer, TokenPlace
from vllmd.probe.comparison import WORST, compare, distance, farthest, overlap

LOGITS = st.lists(st.floats(-40, 40), min_size=VOCABULARY, max_size=VOCABULARY)


@given(LOGITS)
def test_place_is_no_distance_from_itself(logits: list[float]) -> None:
    place = from_logits(logits)
    assert distance(place, place) == 0
    assert overlap(place, place) == 1


@pytest.mark.long
@given(LOGITS, LOGITS)
def test_distance_and_overlap_are_the_same_both_ways_and_bounded(
    one: list[float], other: list[float]
) -> None:
    first, second = from_logits(one), from_logits(other)
    assert distance(first, second) == pytest.approx(distance(second, first))
    assert 0 <= distance(first, second) <= WORST
    assert overlap(first, second) == overlap(second, first)
    assert 0 <= overlap(first, second) <= 1


@pytest.mark.long
@given(LOGITS, st.lists(st.floats(-0.05, 0.05), min_size=VOCABULARY, max_size=VOCABULARY))
def test_noise_on_the_logits_makes_no_greater_distance_than_twice_itself(
    logits: list[float], noise: list[float]
) -> None:
    """What a logit moves by, and the sum of all by as much again."""
    noisy = [a + b for a, b in zip(logits, noise, strict=True)]
    assert distance(from_logits(logits), from_logits(noisy)) <= 0.1 + 1e-9


@pytest.mark.long
@given(LOGITS, st.floats(-30, 30))
def test_logits_that_are_all_moved_are_the_same(logits: list[float], by: float) -> None:
    moved = from_logits([each + by for each in logits])
    assert distance(from_logits(logits), moved) == pytest.approx(0, abs=1e-6)


def test_tokens_of_nearly_the_same_probability_may_change_places() -> None:
    one = position(1, {1: math.log(0.41), 2: math.log(0.40)})
    other = position(2, {1: math.log(0.40), 2: math.log(0.41)})
    assert distance(one, other) < 0.03


def test_sure_of_another_token_is_far() -> None:
    one = position(1, {1: math.log(0.99), 2: math.log(0.001), 3: math.log(0.0005)})
    other = position(4, {4: math.log(0.99), 5: math.log(0.001), 6: math.log(0.0005)})
    assert distance(one, other) > 5
    assert overlap(one, other) == 0


def test_unlikely_tokens_hardly_count() -> None:
    one = position(1, {1: math.log(0.9), 2: -12.0})
    other = position(1, {1: math.log(0.9), 2: -14.0})
    assert distance(one, other) < 0.001


@pytest.mark.parametrize("seed", range(9))
def test_answers_with_noise_are_near_and_those_of_another_model_far(seed: int) -> None:
    reference = answers(seed)
    noisy = [compare(a, b) for a, b in zip(reference, answers(seed, noise=0.02), strict=True)]
    others = [compare(a, b) for a, b in zip(reference, answers(seed + 1), strict=True)]
    assert max(each.distance for each in noisy) < 0.05
    assert min(each.overlap for each in noisy) > 0.7
    assert min(each.distance for each in others) > 0.5


def test_texts_are_compared_up_to_the_first_other_token() -> None:
    expected = answers()[0]
    near = position(7, {7: -1.0, 8: -1.01})
    other = position(8, {7: -1.01, 8: -1.0})
    wrong = answers(2)[0].places
    one = PromptAnswer((1,), (near, *expected.places))
    two = PromptAnswer((1,), (other, *wrong))
    found = compare(one, two)
    assert found.places == 1
    assert found.distance < 0.02


def test_worst_place_is_named() -> None:
    expected = answers()[0]
    places = list(expected.places)
    worse = {token: each - 0.5 for token, each in places[9].logprobs.items()}
    places[9] = position(places[9].token, worse)
    found = compare(expected, attrs.evolve(expected, places=tuple(places)))
    assert found.worst is not None
    assert found.worst.place == 9
    assert found.worst.distance == pytest.approx(0.5)
    assert found.distance == pytest.approx(0.5 / len(places))


def test_other_tokens_of_a_prompt_are_another_tokenizer() -> None:
    one = answers()[0]
    found = compare(one, attrs.evolve(one, tokens=(3, 2, 1)))
    assert found.other_tokens
    assert found.distance == math.inf


def test_prompt_that_differs_most_is_named() -> None:
    one = answers()
    two = answers()
    two[3] = answers(2)[3]
    assert farthest([compare(a, b) for a, b in zip(one, two, strict=True)]) == 3


def test_token_that_only_one_names_is_no_likelier_than_the_last() -> None:
    one: TokenPlace = position(1, {1: math.log(0.5), 2: math.log(0.3)})
    other = position(1, {1: math.log(0.5), 3: math.log(0.29)})
    assert distance(one, other) < 0.02
