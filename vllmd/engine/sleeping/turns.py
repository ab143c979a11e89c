"""Engines that share a GPU in turns: one of them is awake, and before another is, it sleeps."""

from collections.abc import Callable, Iterable
from typing import Protocol

from vllmd.util.clock import Clock

LOOK_S = 1.0


class Member(Protocol):
    """One engine of a share."""

    @property
    def name(self) -> str:
        """The engine."""
        ...

    @property
    def share(self) -> str | None:
        """By which name it takes turns; None if it does not."""
        ...

    @property
    def holds_turn(self) -> bool:
        """Whether it is awake, or about to be."""
        ...

    def give_way(self, to: str) -> None:
        """Want it asleep, because another engine is to be awake."""
        ...

    def given_back(self, by: str) -> None:
        """Want no more what another engine's turn was the reason of."""
        ...

    def need_not(self, to: str) -> None:
        """Want it no more asleep for another engine, which waits no more."""
        ...

    @property
    def cannot_answer(self) -> str | None:
        """Why it would not even try to fall asleep; None if it would, or soon will."""
        ...

    @property
    def drains_within_s(self) -> float:
        """How long it may take until it has no requests, or says that it has."""
        ...

    def refused_since(self, at: float) -> str | None:
        """Return why it did not fall asleep, if it was refused after a monotonic time."""
        ...


class Turns:
    """All engines of a daemon that take turns."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    def join(self, member: Member) -> None:
        """Let an engine take turns, if its settings say so; an engine is known once."""
        self._members[member.name] = member

    def leave(self, member: Member) -> None:
        """Let an engine take no turns: nobody follows it any more."""
        if self._members.get(member.name) is member:
            del self._members[member.name]

    def ahead(self, of: Member) -> list[Member]:
        """Return the others of its share that are awake, or about to be."""
        return [
            each
            for each in self._members.values()
            if each is not of and of.share is not None and each.share == of.share
            if each.holds_turn
        ]

    def given_back(self, of: Member) -> None:
        """Tell the others of its share that an engine sleeps, and not for one of them."""
        for each in self._members.values():
            if each is not of and of.share is not None and each.share == of.share:
                each.given_back(of.name)

    async def wait(
        self,
        of: Member,
        clock: Clock,
        *,
        may_go: Callable[[], bool],
        force: Callable[[], bool],
        waits: Callable[[Iterable[Member]], None],
    ) -> str | None:
        """Wait until it is an engine's turn; with `force`, by putting the others to sleep.

        `waits` is told of those that are ahead, at each look.

        Returns: None if it is its turn, or it `may_go` no more; else why another does not sleep.
        """
        asked: dict[str, float] = {}
        stands: dict[str, float] = {}
        while may_go() and (others := self.ahead(of)):
            waits(others)
            for other in others if force() else ():
                if other.name not in asked:
                    asked[other.name] = clock.monotonic()
                    other.give_way(of.name)
                    continue
                why = other.refused_since(asked[other.name])
                if why is None and (why := _stands(other, stands, clock.monotonic())):
                    other.need_not(of.name)
                if why is not None:
                    return f"{other.name} has the turn of {of.share} and does not sleep: {why}"
            await clock.sleep(LOOK_S)
        return None


def _stands(other: Member, since: dict[str, float], now: float) -> str | None:
    """Return why an engine does nothing, once that is so for longer than its drain takes."""
    why = other.cannot_answer
    if why is None:
        since.pop(other.name, None)
        return None
    return why if now - since.setdefault(other.name, now) > other.drains_within_s else None
