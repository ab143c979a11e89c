"""An output that may stand still, such as a terminal or a pipe that nobody reads, written aside.

A thread of its own writes, and nobody waits for it: what waits is bounded for each who writes, and
whoever finds no room is told at once. A terminal and a pipe are opened anew, without blocking: the
flag is of the open file, which others share (stdout with stderr, and with a shell).

Source: open(2), proc_pid_fd(5), pipe(7).
"""

import contextlib
import os
import select
import stat
import threading
from collections import Counter, deque
from collections.abc import Callable

from vllmd.util.units import MIB

AT_ONCE = 4096
"""A pipe that is ready takes so much without a wait. Source: pipe(7), PIPE_BUF."""
MOST_BYTES = MIB
"""What may wait of each who writes; one text that is longer may wait alone."""
CLOSE_S = 1.0
"""How long the end waits for what is still to be written."""


class BackgroundWriter:
    """Writes to a file descriptor, in order. `put` may be called from any thread."""

    def __init__(self, fd: int, most_bytes: int = MOST_BYTES) -> None:
        """Name what is written to; nothing is opened before the first text."""
        self._fd = fd
        self._most_bytes = most_bytes
        self._texts: deque[tuple[str, bytes, Callable[[], None]]] = deque()
        self._waiting: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def put(self, who: str, text: bytes, lost: Callable[[], None] = lambda: None) -> bool:
        """Have a text written; False if too much of `who` waits already, and it is not taken.

        `lost` is called, by the thread, if it cannot be written after all.
        """
        with self._changed:
            waiting = self._waiting[who]
            if self._closing or (waiting and waiting + len(text) > self._most_bytes):
                return False
            self._waiting[who] += len(text)
            self._texts.append((who, text, lost))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="output", daemon=True)
                self._thread.start()
            self._changed.notify()
        return True

    def close(self) -> None:
        """Take nothing more, and wait for what is still to be written, but not for ever."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        fd = own_description(self._fd)
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        try:
            while (item := self._next()) is not None:
                who, text, lost = item
                if not _write(fd, poll, text):
                    lost()
                with self._changed:
                    self._waiting[who] -= len(text)
        finally:
            os.close(fd)

    def _next(self) -> tuple[str, bytes, Callable[[], None]] | None:
        with self._changed:
            while not self._texts and not self._closing:
                self._changed.wait()
            return self._texts.popleft() if self._texts else None


def own_description(fd: int) -> int:
    """Open a terminal or a pipe anew, so that no write to it blocks; anything else is duplicated.

    A file of a disk is not opened anew: it would have a position of its own. Where a terminal or a
    pipe may not be opened (it is another user's), it is duplicated too, and the thread may wait.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return os.dup(fd)


def _write(fd: int, poll: select.poll, text: bytes) -> bool:
    """Write it all; False if nobody can read it any more."""
    left = memoryview(text)
    while left:
        poll.poll()
        try:
            left = left[os.write(fd, left[:AT_ONCE]) :]
        except BlockingIOError:
            continue
        except OSError:
            return False
    return True
