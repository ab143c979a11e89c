"""An event loop on a virtual clock, that is late at random.

The event loop is asyncio's own. Its selector moves the clock to the next timer instead of waiting,
and then further, by what the loop is late: the process was stopped, or got no CPU.
"""

import asyncio
import random
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
NEVER_S = 1e9


class Lateness:
    """How late the loop is: quiet for a while, then slow, stopped in bursts, or frozen."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._until = 0.0
        self._kind = "calm"
        self._next_stop = NEVER_S
        self.total_s = 0.0

    def at(self, now: float) -> float:
        """Return how much later than `now` the loop goes on."""
        dice = self._dice
        if now >= self._until:
            self._kind = dice.choice(["calm", "slow", "heavy", "bursts", "frozen", "frozen"])
            self._until = now + dice.uniform(60, 1200)
            self._next_stop = now + dice.uniform(0, 60)
        late_s = 0.0
        if self._kind == "slow" and dice.random() < 0.5:
            late_s = dice.uniform(0, 0.4)
        elif self._kind == "heavy" and dice.random() < 0.3:
            late_s = dice.uniform(0, 4)
        elif self._kind in ("bursts", "frozen") and now >= self._next_stop:
            often = self._kind == "bursts"
            late_s = dice.uniform(0.3, 10) if often else dice.uniform(0, 120)
            pause_s = dice.uniform(0.2, 4) if often else dice.expovariate(1 / 60)
            self._next_stop = now + late_s + pause_s
        self.total_s += late_s
        return late_s


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits, and while it is late."""

    def __init__(self, lateness: Lateness) -> None:
        self.now = 0.0
        self.lateness = lateness
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Do it at once: a thread's time is not the clock's."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - as a thread would hand it over
            done.set_exception(error)
        return done


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._idle = 0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout is None:
            found = super().select(1)
            self._idle = 0 if found else self._idle + 1
            if self._idle > 5:
                waiting = [repr(task) for task in asyncio.all_tasks(self._loop)]
                raise RuntimeError("nothing will ever happen again: " + "; ".join(waiting))
        elif not found and timeout:
            self._loop.now += timeout
        self._loop.now += self._loop.lateness.at(self._loop.now)
        return found


class VirtualClock:
    """Monotonic time as the loop has it; the time of day is set forth and back, too."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.offset_s = 1_000_000_000.0

    def monotonic(self) -> float:
        return self._loop.now

    def time(self) -> float:
        return self._loop.now + self.offset_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
