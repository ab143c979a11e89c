"""What somebody wants of an engine, counted: a wish that comes at any moment is not lost.

An event that is set and cleared loses what is said between the look and the clearing. Here whoever
waits says how many wishes it knew when it looked.
"""

import asyncio

from vllmd.util.clock import Clock, wait_event


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

    async def beyond_within(self, known: int, seconds: float, clock: Clock) -> bool:
        """Wait for that, but not for ever.

        Returns: whether there are more than the `known` ones.
        """
        if self.count == known:
            await wait_event(self._next, seconds, clock)
        return self.count != known
