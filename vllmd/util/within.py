"""What `deadline` does, for those who run in an event loop."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from vllmd.util.deadline import READ_S, call_within

T = TypeVar("T")


class Within(Protocol):
    """Does what waits for a disk, and gives it up in time: `run_within`, or a double of it."""

    async def __call__(self, path: str, work: Callable[[], T], limit_s: float = READ_S, /) -> T:
        """Do it."""
        ...


async def at_once(_path: str, work: Callable[[], T], _limit_s: float = READ_S, /) -> T:
    """Do it here and now, for those whose disk never hangs."""
    return work()


async def run_within(path: str, work: Callable[[], T], limit_s: float = READ_S) -> T:
    """Do the same without holding up the event loop."""
    return await asyncio.to_thread(call_within, path, work, limit_s)
