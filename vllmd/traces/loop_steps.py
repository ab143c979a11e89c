"""Work on the event loop in small steps, one a turn of the loop, whoever it is for."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

from vllmd.traces.refusal import BusyError

MAX_WAITING = 8
"""Large requests that wait for their turn."""

TURN_S = 0.005
"""What all connections together use of one turn of the event loop."""

T = TypeVar("T")


class LoopScheduler:
    """Shares the loop among requests: small ones step by step, of large ones one at a time."""

    def __init__(self) -> None:
        self.step = asyncio.Lock()
        self.large = asyncio.Lock()
        self.waiting = 0


class ScheduledRequest:
    """One request among others; as a context, it lets the next large one go on at its end."""

    def __init__(self, scheduler: LoopScheduler) -> None:
        self._scheduler = scheduler
        self._large = False

    async def __aenter__(self) -> "ScheduledRequest":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._large:
            self._scheduler.large.release()

    async def run(self, steps: Generator[None, None, T], *, large: bool = False) -> T:
        """Do all steps; between two of them the loop turns, and others have theirs.

        With `large`, a request that has a second step is a large one.
        """
        while True:
            async with self._scheduler.step:
                try:
                    next(steps)
                except StopIteration as end:
                    value: T = end.value
                    return value
                await asyncio.sleep(0)
            if large:
                await self.be_large()

    async def be_large(self) -> None:
        """Go on once no other large request is under way.

        Raises: BusyError: too many wait already.
        """
        if self._large:
            return
        if self._scheduler.waiting >= MAX_WAITING:
            raise BusyError
        self._scheduler.waiting += 1
        try:
            await self._scheduler.large.acquire()
        finally:
            self._scheduler.waiting -= 1
        self._large = True


class Worker(Protocol):
    """Who has work that can be done in pieces."""

    def handle(self) -> bool:
        """Do a little; tells whether there is more."""
        ...


class Work:
    """Workers with something to handle, in turn, for a bounded time of each turn of the loop."""

    def __init__(self) -> None:
        self._waiting: deque[Worker] = deque()
        self._scheduled = False

    def add(self, worker: Worker) -> None:
        """Let a worker have its turn soon."""
        self._waiting.append(worker)
        self._schedule()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        until = time.perf_counter() + TURN_S
        try:
            while self._waiting and time.perf_counter() < until:
                worker = self._waiting.popleft()
                if worker.handle():
                    self._waiting.append(worker)
        finally:
            self._schedule()


async def in_thread(work: Callable[[], T]) -> T:
    """Work in a thread; returns, also when it is cancelled, only once that has ended.

    So what it uses is not given to others while it still runs.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise
