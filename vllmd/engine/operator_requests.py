"""What somebody wants of an engine, counted: a wish that comes at any moment is not lost.

An event that is set and cleared loses what is said between the look and the clearing. Here whoever
waits says how many wishes it knew when it looked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from vllmd.util.clock import Clock, wait_event

T = TypeVar("T")


class OperatorRequests:
    """How often somebody said what is wanted of one engine."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def add(self) -> None:
        """Note that something was said, and wake whoever waits."""
        self.count += 1
        came, self._next = self._next, asyncio.Event()
        came.set()

    async def beyond(self, known: int) -> None:
        """Wait until there are more wishes than the `known` ones."""
        if self.count == known:
            await self._next.wait()

    async def beyond_or(self, known: int, *others: "asyncio.Future[Any]") -> None:
        """Wait until there are more wishes than the `known` ones, or one of `others` is done."""
        waking = asyncio.ensure_future(self.beyond(known))
        try:
            await asyncio.wait({waking, *others}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()

    async def beyond_within(self, known: int, seconds: float | None, clock: Clock) -> bool:
        """Wait for that, but not for ever; with None, for ever.

        Returns: whether there are more than the `known` ones.
        """
        if seconds is None:
            await self.beyond(known)
        elif self.count == known:
            await wait_event(self._next, seconds, clock)
        return self.count != known

    async def unless(self, over: Callable[[], bool], work: Awaitable[T]) -> T | None:
        """Do some work, unless it is `over` before that ends: then the work is cancelled at once.

        What is `over` changes with one of these wishes.

        Returns: what the work does; None if it was given up.
        Raises: whatever the work does.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done() and not over():
                await self.beyond_or(self.count, task)
            return task.result() if task.done() else None
        finally:
            task.cancel()
