"""How far two answers are from each other: by probabilities, not by texts. Pure.

An engine does not answer to the last bit: which requests are computed together decides over the
order in which floating point numbers are added, and a token of nearly the same probability may
come first. So no text is compared. Of each place in a text both say which tokens are likely:

- the **distance** of two places is the mean of the differences of their log-probabilities, in
  nats, each weighted by how likely the token is. Of a token that only one of them names, the other
  says that it is no likelier than the last one that it does name;
- the **overlap** is the share of the most likely tokens that both name.

Two answers are compared up to the first other token, that place included: after it they are
different texts.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import attrs

from vllmd.probe.answer import PromptAnswer, TokenPlace

WORST = 50.0
"""Nats: no difference counts for more, so that one place cannot hide all others."""


@attrs.frozen
class PlaceDifference:
    """How one place of one prompt differs."""

    place: int
    """How many tokens were generated before it."""
    distance: float
    overlap: float
    expected: TokenPlace
    found: TokenPlace


@attrs.frozen
class AnswerDifference:
    """How the answer to one prompt differs from the one that is expected."""

    places: int
    """How many were compared."""
    distance: float
    """The mean over all places, in nats."""
    overlap: float
    """The mean over all places, 0 to 1."""
    worst: PlaceDifference | None
    """The place of the greatest distance."""
    other_tokens: bool = False
    """Whether the prompt itself is another one: the tokenizer is not the same."""


def compare(expected: PromptAnswer, found: PromptAnswer) -> AnswerDifference:
    """Compare the answers to one prompt."""
    if expected.tokens != found.tokens:
        return AnswerDifference(0, math.inf, 0.0, None, other_tokens=True)
    places = list(_places(expected, found))
    if not places:
        return AnswerDifference(0, 0.0, 1.0, None)
    worst = max(places, key=lambda each: each.distance)
    return AnswerDifference(
        len(places),
        sum(each.distance for each in places) / len(places),
        sum(each.overlap for each in places) / len(places),
        worst,
    )


def _places(expected: PromptAnswer, found: PromptAnswer) -> Iterator[PlaceDifference]:
    pairs = zip(expected.places, found.places, strict=False)
    for place, (one, other) in enumerate(pairs):
        yield PlaceDifference(place, distance(one, other), overlap(one, other), one, other)
        if one.token != other.token:
            return


def distance(one: TokenPlace, other: TokenPlace) -> float:
    """Return how far two places are from each other, in nats: 0 for the same."""
    weights = whole = 0.0
    floors = _floor(one.logprobs), _floor(other.logprobs)
    for token in {*one.logprobs, *other.logprobs}:
        first, second = one.logprobs.get(token), other.logprobs.get(token)
        # of a token that is not named, only the highest that it may have is known
        if first is None:
            assert second is not None
            first = min(floors[0], second)
        if second is None:
            second = min(floors[1], first)
        weight = math.exp(first) + math.exp(second)
        weights += weight
        whole += weight * min(WORST, abs(first - second))
    return whole / weights if weights else 0.0


def _floor(logprobs: Mapping[int, float]) -> float:
    """Return what a token that is not named has at most: as much as the last that is."""
    return min(logprobs.values())


def overlap(one: TokenPlace, other: TokenPlace) -> float:
    """Return the share of the most likely tokens that both name."""
    top = min(len(one.logprobs), len(other.logprobs))
    if top == 0:
        return 1.0
    return len(_top(one, top) & _top(other, top)) / top


def _top(position: TokenPlace, count: int) -> set[int]:
    ordered = sorted(position.logprobs.items(), key=lambda each: (-each[1], each[0]))
    return {token for token, _ in ordered[:count]}


def farthest(differences: Sequence[AnswerDifference]) -> int:
    """Return which prompt differs most."""
    return max(range(len(differences)), key=lambda index: differences[index].distance)
