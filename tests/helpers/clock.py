"""A clock whose hands a test moves."""

import asyncio
import heapq
import itertools
import threading
import time
from typing import Any

HELD_S = 2.0
"""A thread that takes longer is one that a test holds."""


class FakeClock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.epoch = 1_000_000.0
        self.slept: list[float] = []
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.epoch + self.now

    def step(self, seconds: float) -> None:
        """Set the clock that people read, as NTP or a person does."""
        self.epoch += seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking in order whoever slept until then, and let them run."""
        goal = self.now + seconds
        await quiet()
        while self._waiting and self._waiting[0][0] <= goal:
            due, _, future = heapq.heappop(self._waiting)
            self.now = max(self.now, due)  # a test may have let time pass in which nothing ran
            if not future.done():
                future.set_result(None)
            await quiet()
        self.now = max(self.now, goal)
        await quiet()


class LateClock(FakeClock):
    """A clock that is read a second later each time."""

    def monotonic(self) -> float:
        self.now += 1
        return self.now


async def settle(turns: int = 20) -> None:
    """Let everything run that can run without time passing.

    Ends early once three turns of the loop had nothing to do, unless another thread may give it
    something: each turn asks the kernel, which was most of what tests with this clock cost.
    """
    loop: Any = asyncio.get_running_loop()
    idle = 0
    for _ in range(turns):
        await asyncio.sleep(0)
        idle = 0 if loop._ready else idle + 1
        if idle == 3 and not _threads_of_a_test():
            return


def _threads_of_a_test() -> bool:
    """Tell whether there is a thread beside this one and those of `asyncio.to_thread`."""
    return not all(
        each.name == "MainThread" or each.name.startswith("asyncio_")
        for each in threading.enumerate()
    )


class _Threads:
    """How many threads of `asyncio.to_thread` work now, and how many of them a test holds."""

    def __init__(self) -> None:
        self.running = self.held = 0
        self.waiting: set[asyncio.Event] = set()
        """Set when one of them ends."""
        self._start = asyncio.to_thread

    async def to_thread(self, work: Any, /, *args: Any, **named: Any) -> Any:
        self.running += 1
        try:
            return await self._start(work, *args, **named)
        finally:
            self.running -= 1
            self.held = min(self.held, self.running)
            for each in self.waiting:
                each.set()


_threads = _Threads()
asyncio.to_thread = _threads.to_thread


async def quiet() -> None:
    """Let everything run that can run without time passing, in threads too: the host may be busy.

    A thread that is held is waited for once, and not again.
    """
    await settle()
    began = time.monotonic()
    while _threads.running > _threads.held:
        ended, left_s = asyncio.Event(), HELD_S - (time.monotonic() - began)
        _threads.waiting.add(ended)
        try:
            await asyncio.wait_for(ended.wait(), left_s)
        except TimeoutError:
            _threads.held = _threads.running
        finally:
            _threads.waiting.remove(ended)
        await settle()
