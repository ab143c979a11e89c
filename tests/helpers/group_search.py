"""All states that a group of hosts can come into, and what is asked of each of them."""

from collections import deque
from collections.abc import Mapping

from tests.helpers.group_model import Model
from tests.helpers.group_states import (
    ALIVE,
    HEAD,
    NONE,
    READY,
    State,
    ViolationError,
    canonical,
    first,
)


def check(state: State) -> None:
    """Raise: ViolationError: two generations run at once."""
    running = {host.run for host in state.hosts if host.process in ALIVE}
    head = state.hosts[HEAD]
    if head.process in ALIVE and running - {head.run}:
        raise ViolationError(f"generations {running} run at once, and the head is of {head.run}")


def is_settled(state: State) -> bool:
    """Tell whether the group serves, is held, or is stopped by somebody with nothing left of it."""
    hosts = state.hosts
    if not all(host.up for host in hosts) or not all(state.links):
        return False
    if all(host.process == READY and host.run == hosts[HEAD].run for host in hosts):
        return all(host.wanted for host in hosts)
    nothing_runs = all(host.process == NONE and host.run is None for host in hosts)
    return nothing_runs and (hosts[HEAD].held or not all(host.wanted for host in hosts))


def search(model: Model, most: int = 10_000_000) -> tuple[int, int]:
    """Visit all states that can be reached.

    Returns: how many there are, and how many steps between them.
    Raises: ViolationError: one must not be, or from one nothing but more faults leads on.
    """
    start = canonical(first(model.count))
    came: dict[State, tuple[State, str] | None] = {start: None}
    before: dict[State, list[State]] = {}
    waiting, steps = deque([start]), 0
    while waiting:
        state = waiting.popleft()
        try:
            check(state)
            found = [(w, f, canonical(s)) for w, f, s in model.successors(state)]
        except ViolationError as error:
            raise ViolationError(f"{error}\n{_story(state, came)}") from None
        for words, is_fault, after in found:
            steps += 1
            if not is_fault:
                before.setdefault(after, []).append(state)
            if after not in came:
                came[after] = state, words
                waiting.append(after)
        if len(came) > most:
            raise ViolationError(f"more than {most} states")
    good = [state for state in came if is_settled(state)]
    reached = set(good)
    while good:
        for state in before.get(good.pop(), ()):
            if state not in reached:
                reached.add(state)
                good.append(state)
    for state in came:
        if state not in reached:
            raise ViolationError(f"nothing leads on from here\n{_story(state, came)}")
    return len(came), steps


def _story(state: State, came: Mapping[State, tuple[State, str] | None]) -> str:
    """Say how a state is reached, from the beginning, and what it is."""
    lines: list[str] = []
    at = state
    while (step := came[at]) is not None:
        at, words = step
        lines.append(words)
    return "\n".join([*reversed(lines), *map(repr, state.hosts), repr(state[1:])])
