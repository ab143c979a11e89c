"""An output that may stand still, such as a terminal or a pipe that nobody reads, written aside.

A thread of its own writes, and nobody has to wait for it: what waits is bounded for each who
writes, and whoever finds no room is told at once; who may wait does so as long as it gets on. A
terminal and a pipe are opened anew, without blocking: the flag is of the open file, which others
share (stdout with stderr, and with a shell).

Source: open(2), proc_pid_fd(5), pipe(7).
"""

import contextlib
import enum
import os
import select
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from vllmd.util.deadline import start_thread
from vllmd.util.units import MIB

AT_ONCE = 4096
"""A pipe that is ready takes so much without a wait. Source: pipe(7), PIPE_BUF."""
MOST_BYTES = MIB
"""What may wait of each who writes; one text that is longer may wait alone."""
STANDS_STILL_S = 0.2
"""An output that took nothing for so long, though there was something, has no reader now."""
OPEN_AGAIN_S = 10.0
"""How long nothing is taken after an output could not be opened."""
CLOSE_S = 1.0
"""How long the end waits for what is still to be written."""


class Fate(enum.Enum):
    """What became of a text that was taken."""

    BEGUN = enum.auto()
    """A part of it is written, and the rest has to wait."""
    WRITTEN = enum.auto()
    LOST = enum.auto()
    """It cannot be written any more, or not all of it."""


Tell = Callable[[Fate], None]
_turns: dict[tuple[int, int], threading.Lock] = {}
"""For each file that is written to, by device and inode: one text is written at a time, as a long
one is not written at one go, and nobody else's may come into the middle of it."""


class BackgroundWriter:
    """Writes to a file descriptor, in order. `put` may be called from any thread."""

    def __init__(self, fd: int, most_bytes: int = MOST_BYTES) -> None:
        """Name what is written to; nothing is opened before the first text."""
        self._fd = fd
        self._most_bytes = most_bytes
        self._texts: deque[tuple[str, bytes, Tell]] = deque()
        self._waiting: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._rests = True
        self._moved_at = 0.0
        self._not_before = 0.0

    def put(self, who: str, text: bytes, tell: Tell = lambda _: None) -> bool:
        """Have a text written; False if it is not taken: too much of `who` waits, or nobody writes.

        `tell` hears, in the thread, what becomes of it.
        """
        with self._changed:
            if self._closing or not self._has_room(who, len(text)):
                return False
            if time.monotonic() < self._not_before:
                return False
            if self._thread is None and not self._begin():
                return False
            if self._rests:
                self._rests, self._moved_at = False, time.monotonic()
            self._waiting[who] += len(text)
            self._texts.append((who, text, tell))
            self._changed.notify_all()
        return True

    def _begin(self) -> bool:
        """Begin to write; False if no thread is to be had, which the next text tries again."""
        thread = threading.Thread(target=self._run, name="output", daemon=True)
        try:
            start_thread(thread)
        except OSError:
            return False
        self._thread = thread
        return True

    def wait_for_room(self, who: str, size: int, most_s: float) -> bool:
        """Wait until so many bytes of `who` are taken, as long as what waits is being written.

        Returns: False if the output stands still, if it took longer than `most_s` seconds, or if
            nothing is taken any more.
        """
        until = time.monotonic() + most_s
        with self._changed:
            while not self._has_room(who, size):
                left_s = min(until, self._moved_at + STANDS_STILL_S) - time.monotonic()
                if self._closing or left_s <= 0:
                    return False
                self._changed.wait(left_s)
            return not self._closing

    def _has_room(self, who: str, size: int) -> bool:
        waiting = self._waiting[who]
        return not waiting or waiting + size <= self._most_bytes

    def close(self) -> None:
        """Take nothing more, and wait for what is still to be written, but not for ever."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            fd = own_description(self._fd)
        except OSError:  # it was closed, or this process has too many open files
            self._lose_all()
            return
        turn = _turn(fd)
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        try:
            while (item := self._next()) is not None:
                who, text, tell = item
                with turn:
                    tell(Fate.WRITTEN if self._write(fd, poll, text, tell) else Fate.LOST)
                with self._changed:
                    self._waiting[who] -= len(text)
                    self._changed.notify_all()
        finally:
            os.close(fd)

    def _next(self) -> tuple[str, bytes, Tell] | None:
        with self._changed:
            while not self._texts and not self._closing:
                self._rests = True
                self._changed.wait()
            return self._texts.popleft() if self._texts else None

    def _lose_all(self) -> None:
        """Give up what waits; a text that comes later tries to open the output again."""
        with self._changed:
            texts = list(self._texts)
            self._texts.clear()
            self._waiting.clear()
            self._thread, self._rests = None, True
            self._not_before = time.monotonic() + OPEN_AGAIN_S
            self._changed.notify_all()
        for _, _, tell in texts:
            tell(Fate.LOST)

    def _write(self, fd: int, poll: select.poll, text: bytes, tell: Tell) -> bool:
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
            self._moved_at = time.monotonic()
            if left and len(left) + AT_ONCE >= len(text):
                tell(Fate.BEGUN)
        return True


def _turn(fd: int) -> threading.Lock:
    """Return what is held while a text is written to that file."""
    found = os.fstat(fd)
    return _turns.setdefault((found.st_dev, found.st_ino), threading.Lock())


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
