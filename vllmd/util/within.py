"""What `deadline` does, for those who run in an event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

from vllmd.util.deadline import READ_S, call_within, given_up, refuse_if_waits, start_thread
from vllmd.util.threads import do

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


async def look_within(path: str, work: Callable[[], T], limit_s: float = READ_S) -> T:
    """Do the same with one thread, where `run_within` takes two, for what is done again and again.

    The end of the event loop does not wait for it: it is to read, not to write.
    """
    refuse_if_waits(path, limit_s)
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    thread = threading.Thread(target=do, args=(future, work), name="look", daemon=True)
    start_thread(thread)
    answer = asyncio.wrap_future(future)
    try:
        await asyncio.wait({answer}, timeout=limit_s)
    finally:
        if not answer.done():
            late = given_up(path, thread, limit_s)
            answer.cancel()
    if answer.cancelled():
        raise late
    return answer.result()
