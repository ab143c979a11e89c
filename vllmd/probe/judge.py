"""Are the answers those of the reference, within the tolerance? Pure.

How far they are is the mean over all places of all prompts, in nats (`comparison.py`). A prompt is
compared up to its first other token, which may be the first of all: so that such a prompt is not
lost among the others, what it alone is far counts too, as a third.
"""

import math
from collections.abc import Sequence

import attrs

from vllmd.probe.answer import PromptAnswer, TokenPlace
from vllmd.probe.comparison import AnswerDifference, compare, farthest

TOLERANCE = 0.15
"""Nats. Half precision has logits of 16 to 32 in steps of 0.125, and of those some move by a step
with every other batch; what was measured is in docs/probe.md."""
OF_NOISE = 4.0
"""So many times what its answers differ by among themselves when they are recorded."""
MOST = 0.6
"""Nats: no engine is so restless that more is nothing."""
OF_ONE_PROMPT = 3.0
OTHER_NUMERICS = 2.0
"""The tolerance is so many times as wide when what adds the numbers up is another: a version of
vLLM, its flags, a GPU of another kind."""
SHOWN = 3


@attrs.frozen
class Judgement:
    """How the answers to all prompts are, against those that are expected."""

    differs: bool
    distance: float
    """In nats, as `far` has it."""
    overlap: float
    limit: float
    """What `distance` may be at most."""
    prompt: int
    """Which prompt differs most."""
    worst: AnswerDifference
    """How that one does."""

    @property
    def text(self) -> str:
        """Say what differs most, in a sentence without a full stop."""
        number = self.prompt + 1
        if self.worst.other_tokens:
            return f"prompt {number} is split into other tokens: the tokenizer is another one"
        place = self.worst.worst
        if place is None:
            return "nothing was compared"
        return (
            f"{self.distance:.2f} nats from the reference ({self.limit:.2f} allowed), "
            f"{self.overlap:.0%} of the likely tokens the same; most in prompt {number} at token "
            f"{place.place + 1}: {_likely(place.expected)} expected, {_likely(place.found)} found"
        )


def _likely(position: TokenPlace) -> str:
    """Return the most likely tokens by number, with their probabilities."""
    ordered = sorted(position.logprobs.items(), key=lambda each: -each[1])[:SHOWN]
    return ", ".join(f"{token} ({math.exp(said):.0%})" for token, said in ordered)


def limit_of(tolerance: float, noise: float, *, other_numerics: bool = False) -> float:
    """Return what the distance may be, for answers that differ by `noise` among themselves."""
    wider = OTHER_NUMERICS if other_numerics else 1.0
    return max(tolerance, min(MOST, OF_NOISE * noise)) * wider


def judge(
    expected: Sequence[PromptAnswer], found: Sequence[PromptAnswer], limit: float
) -> Judgement:
    """Compare the answers to all prompts."""
    differences = [compare(one, other) for one, other in zip(expected, found, strict=True)]
    most = farthest(differences)
    distance = far(differences)
    places = max(1, sum(each.places for each in differences))
    overlap = sum(each.overlap * each.places for each in differences) / places
    return Judgement(distance > limit, distance, overlap, limit, most, differences[most])


def far(differences: Sequence[AnswerDifference]) -> float:
    """Return how far the answers to all prompts are, in nats."""
    if any(each.other_tokens for each in differences):
        return math.inf
    places = max(1, sum(each.places for each in differences))
    mean = sum(each.distance * each.places for each in differences) / places
    return max(mean, max(each.distance for each in differences) / OF_ONE_PROMPT)


def noise_of(samples: Sequence[Sequence[PromptAnswer]]) -> float:
    """Return how far the answers of several rounds are from each other: the greatest distance."""
    return max(
        (
            far([compare(a, b) for a, b in zip(one, other, strict=True)])
            for index, one in enumerate(samples)
            for other in samples[:index]
        ),
        default=0.0,
    )


def most_central(samples: Sequence[Sequence[PromptAnswer]]) -> Sequence[PromptAnswer]:
    """Return the round that is nearest to all others: what is recorded is no outlier itself."""

    def from_others(one: Sequence[PromptAnswer]) -> float:
        return sum(
            far([compare(a, b) for a, b in zip(one, other, strict=True)]) for other in samples
        )

    return min(samples, key=from_others)


def mean_sureness(answers: Sequence[PromptAnswer]) -> float:
    """Return the mean probability of the likeliest token, over all places."""
    places = [place for answer in answers for place in answer.places]
    return sum(math.exp(max(each.logprobs.values())) for each in places) / len(places)
