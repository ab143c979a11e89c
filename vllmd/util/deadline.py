"""Work that may stand still for ever, such as a read from a network file system, with a limit.

Each has a thread of its own, that nobody waits for: one of an executor would be waited for when the
event loop ends, and so a hung file system would keep the daemon from ending.

What touches a file that may be on a disk that hangs (logs, state, a program, a model) runs on no
event loop: `run_within` (in `within.py`) from there, `call_within` in a thread, and before
anything is served.
Once one was given up, all that asks for the same folder, or one below it, is told so at once.
"""

import errno
import queue
import threading
from collections.abc import Callable
from pathlib import PurePath
from typing import TypeVar

READ_S = 5.0
"""A disk that spins up takes longer than a second; one that takes longer than this is hung."""
T = TypeVar("T")

_waiting: dict[str, threading.Thread] = {}
"""Those that were given up, by path: no second one waits beside it."""


def call_within(path: str, work: Callable[[], T], limit_s: float = READ_S) -> T:
    """Do `work`, which needs `path`, and return what it does.

    Raises: TimeoutError: it takes longer, or an earlier one still waits; OSError: no thread is to
        be had; whatever `work` raises.
    """
    refuse_if_waits(path, limit_s)
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            answers.put((None, error))

    thread = threading.Thread(target=run, name="read", daemon=True)
    start_thread(thread)
    try:
        value, error = answers.get(timeout=limit_s)
    except queue.Empty:
        raise given_up(path, thread, limit_s) from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # set where no error is


def start_thread(thread: threading.Thread) -> None:
    """Start a thread; a host without any is one that has no means, as without descriptors.

    Raises: OSError: no thread is to be had (EAGAIN): a limit of processes is reached, or memory.
    """
    try:
        thread.start()
    except RuntimeError as error:
        text = f"no thread is to be had ({error}): let this user have more processes"
        raise OSError(errno.EAGAIN, text) from None


def still_waits(path: str) -> bool:
    """Tell whether something that was given up still waits for `path` or a folder above it."""
    for each in (path, *map(str, PurePath(path).parents)):
        earlier = _waiting.get(each)
        if earlier is not None and earlier.is_alive():
            return True
        _waiting.pop(each, None)
    return False


def refuse_if_waits(path: str, limit_s: float) -> None:
    """Raise what `given_up` returns where something waits already, as `still_waits` tells."""
    if still_waits(path):
        raise _late(path, limit_s)


def given_up(path: str, thread: threading.Thread, limit_s: float) -> TimeoutError:
    """Note that a thread still waits for a path; returns what to raise."""
    _waiting[path] = thread
    return _late(path, limit_s)


def _late(path: str, limit_s: float) -> TimeoutError:
    text = f"no answer within {limit_s:g} s: does its file system hang?"
    return TimeoutError(errno.ETIMEDOUT, text, path)
