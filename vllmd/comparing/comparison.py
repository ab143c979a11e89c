"""Is a version worse than the one before? Pure.

A figure is worse when its median is worse by more than a tenth, and by more than twice what the
rounds of either version differ among themselves. Failed requests are worse when their share rose by
more than one in a hundred, by more than chance makes of so many requests, and in most rounds: one
that fails is no reason to go back, nor is a moment in which several do. Answers are held word for
word, against how far a version agrees with itself: batches alone make some of them differ. All
limits are ours.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from vllmd.comparing.bench import Round
from vllmd.comparing.record import Measured

LEAST = 0.10
NOISE = 2.0
FAILED = 0.01
ERRORS = 3.0
"""Standard errors of a share: one time in a thousand chance makes more."""
ANSWERS = 0.10
"""So much more of the answers differ than of one version alone."""


@attrs.frozen
class Figure:
    """One figure of a round, and which way is better."""

    name: str
    of: Callable[[Round], float]
    higher_is_better: bool
    unit: str


FIGURES = (
    Figure("answered tokens", lambda each: each.tokens_per_s, True, "/s"),
    Figure("first token", lambda each: each.first_token_s, False, "s"),
    Figure("first token, p95", lambda each: each.first_token_p95_s, False, "s"),
    Figure("between tokens, p95", lambda each: each.between_tokens_p95_s, False, "s"),
)


@attrs.frozen
class FigureRow:
    """One figure of both versions: medians, the change, and by how much rounds differ."""

    name: str
    unit: str
    before: float
    after: float
    change: float
    """A share of the one before; above 0 is more."""
    noise: float
    worse: bool


@attrs.frozen
class VersionComparison:
    """Two versions."""

    rows: tuple[FigureRow, ...]
    failed: tuple[float, float]
    """The share of requests, before and after."""
    failed_more: bool
    """Whether that speaks for going back."""
    same_answers: float | None
    """The share that both versions gave alike; None without answers."""
    own_answers: float | None
    """The share that the version before gave alike when it was asked twice."""

    @property
    def worse(self) -> tuple[str, ...]:
        """Return what speaks for going back."""
        found = [row.name for row in self.rows if row.worse]
        return (*found, *(["failed requests"] if self.failed_more else []))

    @property
    def answers_differ(self) -> bool:
        """Tell whether more answers differ than of the version before alone."""
        if self.same_answers is None or self.own_answers is None:
            return False
        return self.same_answers < self.own_answers - ANSWERS

    def to_json(self) -> dict[str, Any]:
        """Return it with what it says."""
        said = {"worse": list(self.worse), "answers_differ": self.answers_differ}
        return {**attrs.asdict(self), **said}


def compare(before: Measured, after: Measured) -> VersionComparison:
    """Hold two records of one load against each other."""
    return VersionComparison(
        rows=tuple(_row(figure, before, after) for figure in FIGURES),
        failed=(_failed(before), _failed(after)),
        failed_more=_fails_more(before, after),
        same_answers=_alike([r.answers for r in before.rounds], [r.answers for r in after.rounds]),
        own_answers=_alike([before.rounds[0].answers], [before.again]),
    )


def same_load(before: Measured, after: Measured) -> bool:
    """Tell whether the prompts were the same: a bench of another version may draw others."""
    pairs = zip(before.rounds, after.rounds, strict=False)
    return all(one.prompt_tokens == two.prompt_tokens for one, two in pairs)


def _failed(measured: Measured) -> float:
    return sum(each.failed for each in measured.rounds) / _asked(measured)


def _asked(measured: Measured) -> int:
    return measured.load.requests * len(measured.rounds)


def _fails_more(before: Measured, after: Measured) -> bool:
    rose = _failed(after) - _failed(before)
    counts = [_asked(before), _asked(after)]
    share = sum(each.failed for m in (before, after) for each in m.rounds) / sum(counts)
    error = math.sqrt(share * (1 - share) * sum(1 / count for count in counts))
    usual = max(each.failed for each in before.rounds)
    most = statistics.median_low([each.failed for each in after.rounds]) > usual
    return rose > max(FAILED, ERRORS * error) and most


def _row(figure: Figure, before: Measured, after: Measured) -> FigureRow:
    old, new = ([figure.of(each) for each in m.rounds] for m in (before, after))
    then, now = statistics.median(old), statistics.median(new)
    change = now / then - 1 if then else 0.0
    noise = max(_spread(old), _spread(new))
    loss = -change if figure.higher_is_better else change
    return FigureRow(
        figure.name, figure.unit, then, now, change, noise, loss > max(LEAST, NOISE * noise)
    )


def _spread(values: Sequence[float]) -> float:
    """Return by what share of the median the values differ from it at most."""
    middle = statistics.median(values)
    return max(abs(value - middle) for value in values) / middle if middle else 0.0


def _alike(one: Sequence[Sequence[str]], two: Sequence[Sequence[str]]) -> float | None:
    """Return the share of answers that are the same."""
    pairs = [
        first == second
        for mine, yours in zip(one, two, strict=False)
        for first, second in zip(mine, yours, strict=False)
    ]
    return sum(pairs) / len(pairs) if pairs else None
