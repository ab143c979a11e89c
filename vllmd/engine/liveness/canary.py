"""A completion of one token, sent to an idle engine: the only sign of a core that hangs at rest.

vLLM's counts of requests come from the core itself, with its steps. A core that hangs while it is
idle shows none for ever, although requests wait. A pending canary therefore counts as a request in
flight, as a rank of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable

from vllmd.engine.liveness.reading import RankProgress
from vllmd.util.clock import Clock

Ask = Callable[[], Awaitable[str | None]]
"""Sends a canary. Returns None if it was answered as it should be, else what came instead."""
RANK = "canary"


class Canary:
    """One engine's canary: at most one is in flight."""

    def __init__(self, ask: Ask, clock: Clock, every_s: float) -> None:
        self.ask = ask
        self._clock = clock
        self.every_s = every_s
        self._idle_since = clock.monotonic()
        self._steps = -1.0
        self._answered = 0
        self._pending: asyncio.Task[str | None] | None = None
        self.problem: str | None = None
        """What came in place of an answer, last time."""

    def look(self, steps: float, idle: bool) -> RankProgress | None:
        """Take note of all engine steps so far; send a canary if the engine was idle long enough.

        Returns: the rank that stands for it, or None while none is in flight.
        """
        moved, self._steps = steps != self._steps, steps
        if self._pending is not None and self._pending.done():
            self.problem = self._pending.result()
            self._pending = None
            moved = True
        if moved:
            self._answered += 1  # steps of others are progress of the canary too
            self._idle_since = self._clock.monotonic()
        elif not idle and self._pending is None:
            self._idle_since = self._clock.monotonic()
        if self._pending is None:
            if self._clock.monotonic() - self._idle_since < self.every_s:
                return None
            self._pending = asyncio.ensure_future(self.ask())
        return RankProgress(self._answered, running=1, waiting=0)

    def close(self) -> None:
        """Give up what is in flight."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None
