"""Work that may stand still for ever, such as a read from a network file system, with a limit.

Each has a thread of its own, that nobody waits for: one of an executor would be waited for when the
event loop ends, and so a hung file system would keep the daemon from ending.
"""

import asyncio
import errno
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

READ_S = 5.0
"""A disk that spins up takes longer than a second; one that takes longer than this is hung."""
T = TypeVar("T")

_waiting: dict[str, threading.Thread] = {}
"""Those that were given up, by path: no second one waits beside it."""


def call_within(path: str, work: Callable[[], T], limit_s: float = READ_S) -> T:
    """Do `work`, which reads `path`, and return what it does.

    Raises: TimeoutError: it takes longer, or an earlier one still waits; whatever `work` raises.
    """
    earlier = _waiting.get(path)
    if earlier is not None and earlier.is_alive():
        raise _late(path, limit_s)
    _waiting.pop(path, None)
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            answers.put((None, error))

    thread = threading.Thread(target=run, name="read", daemon=True)
    thread.start()
    try:
        value, error = answers.get(timeout=limit_s)
    except queue.Empty:
        _waiting[path] = thread
        raise _late(path, limit_s) from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # set where no error is


async def run_within(path: str, work: Callable[[], T], limit_s: float = READ_S) -> T:
    """Do the same without holding up the event loop."""
    return await asyncio.to_thread(call_within, path, work, limit_s)


def _late(path: str, limit_s: float) -> TimeoutError:
    text = f"no answer within {limit_s:g} s: does its file system hang?"
    return TimeoutError(errno.ETIMEDOUT, text, path)
