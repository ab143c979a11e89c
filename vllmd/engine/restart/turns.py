"""Engines that share a GPU load one after another: two loads at once fight for the same memory."""

import asyncio
from collections.abc import Callable, Collection

from vllmd.clock import Clock
from vllmd.engine.wishes import Wishes

MAX_WAIT_S = 900.0
"""How long an engine waits for another's load: a download of hours must not keep it down."""


class Turns:
    """Who loads now. An engine has a turn from its spawn until it is ready or gone."""

    def __init__(self) -> None:
        self._loading: dict[str, frozenset[str] | None] = {}
        self._changed = asyncio.Event()

    def ahead_of(self, name: str, gpus: frozenset[str] | None) -> str | None:
        """Return an engine that loads now and shares a GPU with `name`, or None."""
        for other, theirs in self._loading.items():
            shares = gpus is None or theirs is None or bool(gpus & theirs)
            if other != name and shares:
                return other
        return None

    def take(self, name: str, gpus: frozenset[str] | None) -> None:
        """Note that `name` loads."""
        self._loading[name] = gpus

    def give_back(self, name: str) -> None:
        """Note that `name` does not load any more; nothing happens if it did not."""
        if self._loading.pop(name, ()) != ():
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    @property
    def changed(self) -> asyncio.Event:
        """Set when the next turn is given back."""
        return self._changed


class Turn:
    """One engine's place among those."""

    def __init__(self, turns: Turns, name: str, gpus: Collection[str] | None, clock: Clock) -> None:
        self._turns = turns
        self._name = name
        self._gpus = None if gpus is None else frozenset(gpus)
        self._clock = clock

    async def wait(
        self, wishes: Wishes, wanted: Callable[[], bool], say: Callable[[str], None]
    ) -> None:
        """Wait until no engine loads that shares a GPU, or the start is not wanted any more.

        What is wanted changes with one of the `wishes`; `say` is told for whom it waits.
        """
        deadline = self._clock.monotonic() + MAX_WAIT_S
        while (other := self._turns.ahead_of(self._name, self._gpus)) and wanted():
            left_s = deadline - self._clock.monotonic()
            if left_s <= 0:
                return
            say(f"waits until {other} has loaded, with which it shares a GPU")
            waits = (
                asyncio.ensure_future(self._turns.changed.wait()),
                asyncio.ensure_future(wishes.beyond(wishes.count)),
                asyncio.ensure_future(self._clock.sleep(left_s)),
            )
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()

    def take(self) -> None:
        """Begin to load."""
        self._turns.take(self._name, self._gpus)

    def give_back(self) -> None:
        """Load no more."""
        self._turns.give_back(self._name)
