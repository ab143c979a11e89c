"""The file that is written to: rotated at line boundaries, found again when others move it."""

import contextlib
import os
import time

from vllmd.shim import counted, logfiles
from vllmd.shim.counted import Counted, Counts
from vllmd.shim.files import refuse_irregular
from vllmd.shim.protocol import Rotation

MODE = 0o640
CHECK_S = 1.0
"""How often to look whether the file is still where it was."""
TIMES_S = 0.1
"""Lines that came within so many seconds share one entry of when they came."""
NOTED_BYTES = 4096
"""Lines that were counted share one note until they are so many bytes."""
COPY_BYTES = 256 * 1024
_NONE = -1
"""No descriptor: what is written to it is refused, which costs nothing else."""


class LogFile:
    """One log, for one writer. Every method may wait for the disk, and raise OSError.

    `number` is that of the file that is written to, `size` its bytes.
    """

    def __init__(self, path: str, rotation: Rotation, tag: str = "") -> None:
        """Open it; `tag` is that of notes about lines that were counted.

        Raises: OSError: it cannot be opened.
        """
        self.path = path
        self._tag = tag
        self._counted: Counted | None = None
        self.rotation = rotation
        self.number = logfiles.current_number(path)
        self.rotations = 0
        self._fd = _open(path)
        self.size = os.fstat(self._fd).st_size
        self._safe_size = self.size
        self._line_start = True
        if self.size and os.pread(self._fd, 1, self.size - 1) != b"\n":
            self._end_line()
        self._period = _period(os.fstat(self._fd).st_mtime, rotation) if self.size else None
        self._checked_at = time.monotonic()
        self._open_times()
        self.prune()

    def write(self, part: memoryview, at: float) -> int:
        """Write a beginning of `part`, which came at the time `at`, in seconds since the epoch.

        Returns: how many bytes of it; 0 if the file was rotated instead.
        """
        self._check()
        if self._line_start and self.size and self._rotates(at, part):
            return 0
        if self._period is None:
            self._period = _period(at, self.rotation)
        stamp = self._stamp(at)
        room = self._room(stamp)
        if len(part) > room:
            part = part[: _cut(part, room)]
        if stamp:
            self._timed_at = at
            self._note(stamp)
        written = os.write(self._fd, part)
        self.size += written
        self._line_start = part[written - 1] == 10
        return written

    def note(self, size: int, counts: Counts) -> None:
        """Say beside the log what the last `size` bytes are that were written."""
        known, begin = self._counted, self.size - size
        if known is None or known.end != begin:
            known = Counted(begin, begin, {})
        counted.add(known.counts, counts)
        known = self._counted = known._replace(end=self.size)
        if known.end - known.begin >= NOTED_BYTES:
            self._counted = None
            self._note(counted.encode(self._tag, known))

    def rotate(self) -> None:
        """Begin a new file; the old one gets its number as its name."""
        fresh = f"{self.path}.next"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        fd = _open(fresh)
        try:
            with contextlib.suppress(FileNotFoundError):  # deleted by hand just now
                os.rename(self.path, logfiles.rotated(self.path, self.number))
            os.rename(fresh, self.path)
        except OSError:
            _close(fd)
            raise
        self.rotations += 1
        self._take(fd)
        self.prune()

    def prune(self) -> None:
        """Remove the oldest files; room for this one and for one being compressed is kept."""
        kept_free = 2 * self.rotation["max_bytes"]
        logfiles.prune(
            self.path,
            self.number,
            keep=self.rotation["keep"],
            budget_bytes=max(0, self.rotation["budget_bytes"] - kept_free),
        )

    def drop_unfinished(self, byte_count: int) -> None:
        """Take the last bytes back: the beginning of a line that will not be finished."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.size - byte_count)
            self.size -= byte_count

    def close(self) -> None:
        """Bring it to the disk."""
        with contextlib.suppress(OSError):
            self._check(now=True)
            os.fsync(self._fd)
        _close(self._fd)
        self._close_times()

    def _rotates(self, at: float, part: memoryview) -> bool:
        """Begin a new file if it is time; where none can be made, this one goes on until full."""
        now = _period(at, self.rotation)
        if self._period is not None and now < self._period:  # the clock was set back
            self._period = now
        room = self._room(self._stamp(at))
        full = len(part) > room and bytes(part[: max(0, room)]).rfind(b"\n") < 0
        if not full and (self._period is None or now <= self._period):
            return False
        try:
            self.rotate()
        except OSError:
            if full:
                raise
            return False
        return True

    def _end_line(self) -> None:
        """End the line that a writer left that was killed."""
        with contextlib.suppress(OSError):
            self.size += os.write(self._fd, b"\n")

    def _stamp(self, at: float) -> bytes:
        """Return what is to be noted of when a line came; nothing if the last note says it."""
        if self._line_start and abs(at - self._timed_at) >= TIMES_S:
            return b"%d %.2f\n" % (self.size, at)
        return b""

    def _note(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            self._times_size += os.write(self._times_fd, line)

    def _room(self, stamp: bytes) -> int:
        """Return how many bytes the file may still take; the times of its lines count too."""
        return self.rotation["max_bytes"] - self.size - self._times_size - len(stamp)

    def _check(self, *, now: bool = False) -> None:
        """Find out whether somebody deleted, moved or cut the file; go on at its old place."""
        at = time.monotonic()
        if at - self._checked_at < CHECK_S and not now:
            return
        ours = os.fstat(self._fd)
        if ours.st_size < self.size:  # cut by `copytruncate`: positions begin anew
            self.size = ours.st_size
            self._begin()
        try:
            there = os.stat(self.path)
            moved = (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev)
        except FileNotFoundError:
            moved = True
        except OSError:  # the folder may not be looked into any more: the file is still there
            if ours.st_nlink == 0:
                raise
            moved = False
        if moved:
            fd = _open(self.path)
            try:
                if ours.st_nlink == 0:
                    self._copy_deleted(fd)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(fd, 0)
                _close(fd)
                raise
            self._take(fd)
        self._checked_at, self._safe_size = at, self.size

    def _copy_deleted(self, fd: int) -> None:
        """Copy what was written after the last look into a file that was deleted since."""
        position = self._safe_size
        while block := os.pread(self._fd, COPY_BYTES, position):
            view = memoryview(block)
            while view:
                view = view[os.write(fd, view) :]
            position += len(block)

    def _take(self, fd: int) -> None:
        _close(self._fd)
        self._fd = fd
        self.size = self._safe_size = os.fstat(fd).st_size
        self._begin()

    def _begin(self) -> None:
        self.number += 1
        self._line_start = True
        self._period = None
        self._safe_size = self.size
        self._close_times()
        self._open_times()

    def _open_times(self) -> None:
        self._timed_at = 0.0
        self._counted = None
        try:
            self._times_fd = _open(logfiles.times(self.path, self.number))
            self._times_size = os.fstat(self._times_fd).st_size
        except OSError:  # a full disk: arrival times are the lesser loss
            self._times_fd, self._times_size = _NONE, 0

    def _close_times(self) -> None:
        """Close it once: its number is given to the next that is opened."""
        if self._times_fd != _NONE:
            _close(self._times_fd)
            self._times_fd = _NONE


def _close(fd: int) -> None:
    """Close a file; a disk that says only now that it is full has it closed all the same.

    Source: close(2), on errors: the descriptor is free, and must not be closed again.
    """
    with contextlib.suppress(OSError):
        os.close(fd)


def _open(path: str) -> int:
    """Open a file to write it.

    Raises: OSError: it cannot be, or is a FIFO or a device, which would keep the writer waiting.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    fd = os.open(path, flags, MODE)
    try:
        refuse_irregular(os.fstat(fd).st_mode, path)
    except OSError:
        os.close(fd)
        raise
    with contextlib.suppress(OSError):  # not ours: an administrator's choice
        os.fchmod(fd, MODE)
    return fd


def _cut(part: memoryview, room: int) -> int:
    """Return where whole lines that fit end; one alone is taken: none is longer than a file."""
    end = bytes(part[: max(0, room)]).rfind(b"\n") + 1
    if end == 0:
        end = bytes(part).find(b"\n") + 1
    return end or len(part)


def _period(at: float, rotation: Rotation) -> tuple[int, ...]:
    """Return the hour, day or week of a time, such that later ones compare greater."""
    local = time.localtime(at)
    match rotation["period"]:
        case "hourly":
            return (local.tm_year, local.tm_yday, local.tm_hour)
        case "daily":
            return (local.tm_year, local.tm_yday)
        case "weekly":
            year, week = time.strftime("%G %V", local).split()  # ISO: one week over New Year
            return (int(year), int(week))
        case _:
            return ()
