"""Work that waits for the disk, in a thread: one that hangs must not stop the event loop."""

import itertools
import threading
from collections.abc import Callable
from typing import Protocol

from vllmd.util.parts import PartRunner

CLOSE_S = 5.0
MAX_WAITING = 1000
"""Most work that waits for a disk that stands still; then the oldest is given up and counted."""
PART = "disk"

Work = Callable[[], None]


class DiskWork(Protocol):
    """Takes some work; of what waits with the same `key`, the newest is enough."""

    def __call__(self, work: Work, key: str | None = None, /) -> None:
        """Take it."""
        ...


def at_once(work: Work, _key: str | None = None, /) -> None:
    """Do it here and now, for those who may wait."""
    work()


class DiskThread:
    """One thread that does what it is given, in order; what raises is told, and it goes on."""

    def __init__(self, parts: PartRunner | None = None) -> None:
        """Begin; `parts` counts what fails."""
        self._parts = parts or PartRunner()
        self._parts.know(PART)
        self._waiting: dict[str, Work] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def do(self, work: Work, key: str | None = None, /) -> None:
        """Take some work; returns at once. It replaces what waits with the same `key`."""
        name = key if key is not None else f"#{next(self._numbers)}"
        given_up = False
        with self._changed:
            self._waiting.pop(name, None)
            if len(self._waiting) >= MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
                given_up = True
            self._waiting[name] = work
            self._changed.notify()
        if given_up:
            problem = f"{MAX_WAITING} files wait to be written: the oldest is given up"
            self._parts.note(PART, TimeoutError(problem))

    def close(self) -> bool:
        """Wait until all of it is done, but not for ever; tell whether it is."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            with self._parts.isolated(PART):
                work()

    def _next(self) -> Work | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None
