"""One look at the answers of an engine: asked, judged, asked again; and what is taken for right."""

from collections.abc import Callable, Sequence

import attrs

from vllmd.engine.answers import Answers
from vllmd.probe.answer import BrokenAnswerError, PromptAnswer
from vllmd.probe.asking import Asker
from vllmd.probe.judge import (
    MOST,
    OF_NOISE,
    Judgement,
    judge,
    mean_sureness,
    most_central,
    noise_of,
)
from vllmd.probe.prompts import PROMPTS
from vllmd.probe.reference import Reference

AGAIN = 2
"""So often answers that differ are asked for again; most of all must differ."""
ROUNDS = (False, True, True)
"""How they are asked to be recorded: alone, then computed together, twice."""
MOST_NOISE = MOST / OF_NOISE
"""Nats: answers that differ by more among themselves are no reference."""
LEAST_SURE = 0.1
"""A trained model is surer of these texts, on average: a likely token has 0.5 and more."""
UNSURE = (
    "it is hardly sure of any token, as a model that was not trained is, or one whose weights are "
    "wrong: compare its answers with another host's before you rely on this reference"
)

Spent = Callable[[Sequence[PromptAnswer]], None]
"""Told what was asked, which is no traffic."""


@attrs.frozen
class Outcome:
    """What one look found."""

    wrong: str | None = None
    """What differs, if most of what was asked does."""
    differed: str | None = None
    """What differed once, and not again."""
    judgement: Judgement | None = None
    """Of what was asked first; None if an answer could not be judged."""
    asked: int = 1
    mismatches: int = 0


@attrs.frozen
class Recording:
    """Answers that may be taken for right."""

    answers: tuple[PromptAnswer, ...]
    noise: float
    problem: str | None = None
    """Why they are not to be."""
    warning: str | None = None
    broken: str | None = None
    """What no sound engine gives, if most of what was asked again was such."""
    differed: str | None = None
    """What no sound engine gives, and was not given again."""
    asked: int = 1
    mismatches: int = 0


@attrs.frozen
class Looking:
    """Looks at one engine."""

    asker: Asker
    answers: Answers
    spent: Spent
    check: Callable[[], None] = lambda: None
    """Raises NotAskedError if it is not to be asked any more: it falls asleep, or drains."""

    async def _ask(self, *, together: bool = False) -> list[PromptAnswer]:
        self.check()
        with self.answers.probing(len(PROMPTS) if together else 1):
            found = await self.asker.ask(together=together, check=self.check)
        self.spent(found)
        return found

    async def look(self, reference: Reference, limit: float) -> Outcome:
        """Compare its answers with a reference, from which they may be `limit` nats.

        Raises: NotAskedError, NotApplicableError.
        """
        first, words = await self._judged(reference, limit)
        if words is None:
            return Outcome(judgement=first)
        mismatches, asked = 1, 1 + AGAIN
        for number in range(AGAIN):
            _, again = await self._judged(reference, limit, together=number % 2 == 1)
            mismatches += again is not None
        if mismatches * 2 > asked:
            return Outcome(words, None, first, asked, mismatches)
        return Outcome(None, words, first, asked, mismatches)

    async def _judged(
        self, reference: Reference, limit: float, *, together: bool = False
    ) -> tuple[Judgement | None, str | None]:
        """Return how the answers are, and what differs."""
        try:
            found = await self._ask(together=together)
        except BrokenAnswerError as error:
            return None, f"it gave {error}"
        judgement = judge(reference.answers, found, limit)
        return judgement, judgement.text if judgement.differs else None

    async def record(self) -> Recording:
        """Ask for answers that may be taken for right; a broken one is asked for again, twice.

        Raises: NotAskedError, NotApplicableError.
        """
        samples, asked, mismatches, differed = [], 1, 0, None
        for together in ROUNDS:
            found, broken = await self._unbroken(together=together)
            if broken:
                asked, mismatches, differed = asked + AGAIN, mismatches + len(broken), broken[0]
            if found is None:
                return Recording((), 0.0, broken=differed, asked=asked, mismatches=mismatches)
            samples.append(found)
        noise, chosen = noise_of(samples), tuple(most_central(samples))
        problem = None
        if noise > MOST_NOISE:
            problem = (
                f"its answers to the same prompts are {noise:.2f} nats from each other, by which "
                f"requests are computed together ({MOST_NOISE:.2f} at most)"
            )
        warning = UNSURE if mean_sureness(chosen) < LEAST_SURE else None
        return Recording(chosen, noise, problem, warning, None, differed, asked, mismatches)

    async def _unbroken(self, *, together: bool) -> tuple[list[PromptAnswer] | None, list[str]]:
        """Return answers, None if most of three are broken; and what was in those that are."""
        found, broken = None, list[str]()
        for number in range(1 + AGAIN):
            try:
                found = await self._ask(together=together)
            except BrokenAnswerError as error:
                broken.append(f"it gave {error}")
            if number == 0 and not broken:
                break
        return (None if len(broken) * 2 > 1 + AGAIN else found), broken
