"""Which rows there are: each fault in each state, twice in a row, and pairs that are drawn."""

import random
from collections.abc import Iterator, Sequence

import attrs

from tests.chaos.faults import FAULTS
from tests.chaos.faults.base import Fault
from tests.chaos.states import ENDS, RUNS, STATES

ALONE, TWICE, PAIR = "alone", "twice", "pair"


@attrs.frozen
class Planned:
    """A row that is to be made."""

    state: str
    faults: tuple[type[Fault], ...]
    way: str

    @property
    def needs_weights(self) -> bool:
        return any(fault.needs_weights for fault in self.faults)


def alone(faults: Sequence[type[Fault]] = FAULTS) -> Iterator[Planned]:
    """Yield each fault in each state in which it can be."""
    for state in STATES:
        for fault in faults:
            if state in fault.states:
                yield Planned(state, (fault,), ALONE)


def twice(faults: Sequence[type[Fault]] = FAULTS) -> Iterator[Planned]:
    """Yield each fault twice in a row, where there is something left that it can be done to."""
    for state in ("ready", "loading"):
        for fault in faults:
            if state in fault.states and not fault.needs_weights:
                yield Planned(state, (fault, fault), TWICE)


def pairs(count: int, seed: int) -> list[Planned]:
    """Draw pairs of different faults in one state."""
    drawn = random.Random(seed)
    found: list[Planned] = []
    while len(found) < count:
        state = drawn.choice(STATES)
        there = sorted((f for f in FAULTS if state in f.states), key=lambda f: f.name)
        one, two = drawn.sample(there, 2)
        made = Planned(state, (one, two), PAIR)
        if _go_together(made) and made not in found:
            found.append(made)
    return sorted(found, key=lambda each: STATES.index(each.state))


def _go_together(made: Planned) -> bool:
    one, two = made.faults
    if made.needs_weights or (one.of and one.of == two.of):
        return False
    needs_process = two.states <= RUNS | {"starting"}
    return not (made.state in ENDS and one.ends_run and needs_process)


def sliced(rows: Sequence[Planned], count: int, seed: int) -> list[Planned]:
    """Draw some rows, so that each state and as many faults as possible are among them."""
    drawn = random.Random(seed)
    left = list(rows)
    found: list[Planned] = []
    drawn.shuffle(left)
    used: set[object] = set()
    while left and len(found) < count:
        best = min(left, key=lambda each: (each.state in used) + (each.faults[0] in used))
        left.remove(best)
        found.append(best)
        used |= {best.state, best.faults[0]}
        if len(used) > 2 * len(STATES):
            used = {each for each in used if not isinstance(each, str)}
    return sorted(found, key=lambda each: STATES.index(each.state))
