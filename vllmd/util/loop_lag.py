"""How late the event loop is, so that nobody is blamed for what was seen too late.

A timer that is due and is not served is the sign: the process was stopped, starved of CPU, or kept
busy by one of its own parts. Time in which the loop was late does not count as watched.
"""

import asyncio
from collections import deque
from typing import Any

from vllmd.util.clock import Clock, until_tick

EVERY_S = 1.0
EVERY_WHILE_LATE_S = 0.1
"""Stops that are shorter than the pause between two ticks would be seen in part only."""
TOLERANCE_S = 0.1
"""What a timer may be late by on a host that does well: a page is rendered, a file is read."""
FIRST_S = 0.00005
"""So much before the tick, to be served before all that is due with it."""
WINDOW_S = 60.0
SHORTEST_S = 0.001
"""Less than this left to wait is nothing: a difference of floats is rarely zero."""


class LoopLag:
    """Measures the loop that `run` runs in. All times are monotonic, in seconds.

    While `run` does not run, the loop counts as being on time.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._due: float | None = None
        self._total_s = 0.0
        self._worst: deque[tuple[float, float]] = deque()

    async def run(self) -> None:
        """Measure until cancelled."""
        every_s = EVERY_S
        try:
            while True:
                pause_s = until_tick(self.clock, every_s)
                self._due = self.clock.monotonic() + pause_s
                await self.clock.sleep(pause_s - FIRST_S)
                late_s = self._overdue_s()
                self._total_s += late_s
                self._note(late_s)
                every_s = EVERY_WHILE_LATE_S if self.late_s() else EVERY_S
        finally:
            self._due = None

    def watched(self) -> float:
        """Return seconds that stand still while the loop is late; use differences only."""
        return self.clock.monotonic() - self._total_s - self._overdue_s()

    def late_s(self) -> float:
        """Return how late the loop was at worst in the last minute, in seconds; 0.0 if on time."""
        now = self.clock.monotonic()
        while self._worst and now - self._worst[0][0] > WINDOW_S:
            self._worst.popleft()
        return max(self._overdue_s(), self._worst[0][1] if self._worst else 0.0)

    async def wait(
        self, task: "asyncio.Future[Any]", limit_s: float, *, at_most_s: float | None = None
    ) -> bool:
        """Wait for a task through `limit_s` watched seconds, `at_most_s` seconds in all.

        What was ready before its time was over is taken, however late this is noticed. The task
        goes on.

        Returns: whether it is done.
        """
        began, watched_from = self.clock.monotonic(), self.watched()
        while not task.done():
            left_s = limit_s - (self.watched() - watched_from)
            if at_most_s is not None:
                left_s = min(left_s, at_most_s - (self.clock.monotonic() - began))
            if left_s < SHORTEST_S:
                return False
            sleeping = asyncio.ensure_future(self.clock.sleep(left_s))
            try:
                await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
        return True

    def _overdue_s(self) -> float:
        """Return how long the tick under way has been due, beyond what is usual."""
        if self._due is None:
            return 0.0
        return max(0.0, self.clock.monotonic() - self._due - TOLERANCE_S)

    def _note(self, late_s: float) -> None:
        """Keep what may become the worst of the last minute."""
        if late_s > 0:
            while self._worst and self._worst[-1][1] <= late_s:
                self._worst.pop()
            self._worst.append((self.clock.monotonic(), late_s))
