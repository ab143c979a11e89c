"""Does a load of weights get on? As an engine's load, it prints, computes, or moves bytes."""

import functools
import os
from collections.abc import Callable

from vllmd.engine.context import EngineContext
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.liveness.stall_detector import LoadStallDetector

LOOK_S = 5.0


class LoadWatch:
    """One load, looked at every few seconds."""

    def __init__(
        self,
        context: EngineContext,
        limit_s: float,
        activity: Callable[[], ProcessActivity | None],
    ) -> None:
        """Begin; `limit_s` is how long nothing may happen, `activity` what it has used."""
        self._context = context
        self._activity = activity
        self._detector = LoadStallDetector(limit_s, LOOK_S)
        self._next_at = context.clock.monotonic() + LOOK_S
        self._printed: int | None = None

    async def look(self) -> str | None:
        """Return the sentence that says why it is stalled; None if it is not, or no look is due."""
        if self._context.clock.monotonic() < self._next_at:
            return None
        self._next_at = self._context.clock.monotonic() + LOOK_S
        before, self._printed = self._printed, await self._size()
        spoke = self._printed is not None and self._printed != before
        return self._detector.assess(
            self._context.lag.watched(), spoke=spoke, activity=self._activity()
        )

    async def _size(self) -> int | None:
        """Return how long its log is now; None if that is not known."""
        log = str(self._context.weights_log)
        try:
            return (await self._context.within(log, functools.partial(os.stat, log))).st_size
        except OSError:
            return None
