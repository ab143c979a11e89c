"""Whose password is checked next: first of clients that gave no wrong one, then each in its turn.

Whoever guesses from many addresses is behind everybody else once each of them has failed.
"""

import asyncio
import math
from collections import OrderedDict

import attrs

from vllmd.util.clock import Clock

FORGOTTEN_S = 600.0
"""How long a wrong password counts."""
REMEMBERED = 4096
"""Most failed clients that are remembered; the one that failed longest ago makes room."""


@attrs.frozen(eq=False)
class _Waiting:
    client: str
    turn: asyncio.Future[None]


class FairQueue:
    """One has its turn at a time; belongs to one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed_at: OrderedDict[str, float] = OrderedDict()
        self._waiting: list[_Waiting] = []
        self._taken = False

    def has_failed(self, client: str) -> bool:
        """Tell whether a client gave a wrong password lately."""
        return self._rank(client) > -math.inf

    def note(self, client: str, *, wrong: bool) -> None:
        """Note what became of a client's turn."""
        self._failed_at.pop(client, None)
        if wrong:
            self._failed_at[client] = self._clock.monotonic()
            if len(self._failed_at) > REMEMBERED:
                self._failed_at.popitem(last=False)

    async def take(self, client: str) -> None:
        """Wait for a turn; it lasts until `give`."""
        if not self._taken:
            self._taken = True
            return
        one = _Waiting(client, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        try:
            await one.turn
        except asyncio.CancelledError:
            if one in self._waiting:
                self._waiting.remove(one)
            elif not one.turn.cancelled():  # it was this one's turn already
                self.give()
            raise

    def give(self) -> None:
        """End a turn, and begin the next."""
        if not self._waiting:
            self._taken = False
            return
        first = min(self._waiting, key=lambda one: self._rank(one.client))  # of equals, the oldest
        self._waiting.remove(first)
        if first.turn.cancelled():
            self.give()
        else:
            first.turn.set_result(None)

    def _rank(self, client: str) -> float:
        """Return when a client failed last: whoever did so longest ago comes first."""
        at = self._failed_at.get(client, -math.inf)
        return at if self._clock.monotonic() - at < FORGOTTEN_S else -math.inf
