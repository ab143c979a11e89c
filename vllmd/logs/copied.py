"""How far a log was copied to somewhere else, for the daemon that comes after one that was killed.

It is written after each line, without a sync: what a killed process wrote, the next one reads.
Only a host that ends loses it, and whoever read the copy with it.
"""

import contextlib
import os
import struct
import threading
from pathlib import Path

import attrs

from vllmd.logs.reader import Position

_RECORD = struct.Struct("<QQ?")


@attrs.frozen
class Copied:
    """All lines up to there were copied; of the next one a part, if one was `begun`."""

    end: Position
    begun: bool


class CopiedFile:
    """The file that says it; where it cannot be read or written, nothing is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._closed = False
        self._lock = threading.Lock()

    def read(self) -> Copied | None:
        """Return what the daemon before wrote; None if that is not known."""
        try:
            number, offset, begun = _RECORD.unpack(self._path.read_bytes())
        except (OSError, struct.error):
            return None
        return Copied(Position(number, offset), begun)

    def write(self, end: Position, *, begun: bool = False) -> None:
        """Say it; a file system that is full, or read-only, is borne."""
        with self._lock:
            if not self._closed and not self._write(_RECORD.pack(end.number, end.offset, begun)):
                self._end()
                self.forget()

    def _write(self, record: bytes) -> bool:
        try:
            if self._fd is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self._path, flags, 0o600)
            return os.pwrite(self._fd, record, 0) == len(record)
        except OSError:
            return False

    def forget(self) -> None:
        """Remove it: what it says is not so any more."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file, which stays; nothing is written any more."""
        with self._lock:
            self._closed = True
            self._end()

    def _end(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
