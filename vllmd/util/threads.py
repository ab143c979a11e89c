"""The threads of `asyncio.to_thread`: one that hangs holds up no other work, and no end.

The usual pool has a handful of threads (CPUs and four), and the end of the event loop, and then of
the interpreter, waits for all of them. A disk that stands still takes one after the other: then no
engine is started again, and nobody can stop the daemon. So does a name server that does not answer:
who asks gives a name up in seconds, and its thread goes on for half a minute. Lookups of names have
a bound of their own, and one name is looked up once at a time, for all who want it.
"""

import errno
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from vllmd.util.deadline import start_thread

MANY = 200
"""With so many at once, nearly all hang, and more would be of no help."""
LOOKUPS = 200
"""So many names may be looked up at once, beside all other work."""
_LOOK_UP = frozenset({"getaddrinfo", "_getaddrinfo_debug"})
"""What an event loop gives to a thread for a name. Source: asyncio/base_events.py of 3.11."""
CLOSE_S = 5.0
"""How long the end waits for what is under way."""
P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """Gives each piece of work a thread of its own, which nobody waits for without a limit.

    A subclass, since an event loop takes nothing else; of the pool itself nothing is used.
    """

    def __init__(self, most: int = MANY, *, close_s: float = CLOSE_S) -> None:
        """Begin; `most` work at once, and more is refused.

        The end waits for what is under way for `close_s`.
        """
        super().__init__(max_workers=1)
        self._close_s = close_s
        self._most = most
        self._running: set[threading.Thread] = set()
        self._looking_up: dict[object, Future[Any]] = {}
        self._guard = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin some work at once.

        Raises: OSError: too much is under way already, or the system has no thread.
        """
        if getattr(fn, "__name__", "") in _LOOK_UP and not kwargs:
            return self._look_up(lambda: fn(*args, **kwargs), args)
        future: Future[T] = Future()

        def work() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    do(future, lambda: fn(*args, **kwargs))
            finally:
                with self._guard:
                    self._running.discard(thread)

        thread = threading.Thread(target=work, name="worker", daemon=True)
        with self._guard:
            if len(self._running) >= self._most:
                text = f"{self._most} threads wait already: does a file system hang?"
                raise OSError(errno.EAGAIN, text)
            start_thread(thread)
            self._running.add(thread)
        return future

    def _look_up(self, find: Callable[[], T], name: object) -> Future[T]:
        """Look up a name, or wait with whoever does already; nobody who gives up ends that."""
        with self._guard:
            known = self._looking_up.get(name)
            if known is not None:
                return known
            if len(self._looking_up) >= LOOKUPS:
                text = f"{LOOKUPS} names are looked up already: does no name server answer?"
                raise OSError(errno.EAGAIN, text)
            future: Future[T] = Future()
            future.set_running_or_notify_cancel()

            def work() -> None:
                try:
                    do(future, find)
                finally:
                    with self._guard:
                        self._looking_up.pop(name, None)

            start_thread(threading.Thread(target=work, name="name", daemon=True))
            self._looking_up[name] = future
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what is under way, but not for ever."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        until = time.monotonic() + self._close_s
        with self._guard:
            running = list(self._running)
        for thread in running if wait else ():
            thread.join(max(0.0, until - time.monotonic()))


def do(future: Future[Any], work: Callable[[], Any]) -> None:
    """Do some work, and have a future tell what came of it."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - raised again by who waits
        future.set_exception(error)
    else:
        future.set_result(result)
