"""Work that waits for the disk, done aside: one that stands still must not stop the event loop."""

import queue
import threading
from collections.abc import Callable

CLOSE_S = 5.0

Work = Callable[[], None]


def at_once(work: Work) -> None:
    """Do it here and now, for those who may wait."""
    work()


class Aside:
    """One thread that does what it is given, in order."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="aside", daemon=True)
        self._thread.start()

    def do(self, work: Work) -> None:
        """Take some work, which may not raise; returns at once."""
        self._queue.put(work)

    def close(self) -> bool:
        """Wait until all of it is done, but not for ever; tell whether it is."""
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
