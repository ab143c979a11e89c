"""Read a log on from a position, over its rotations, compressed files too."""

import gzip
import io
import os
import zlib
from typing import BinaryIO

import attrs

from vllmd.shim import logfiles
from vllmd.shim.files import refuse_irregular
from vllmd.util.units import MIB

BLOCK_BYTES = 1 * MIB
GZIP = ".gz"
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What a compressed file raises that is broken."""


@attrs.frozen(order=True)
class Position:
    """A byte of a log: the number of a file, and an offset in it, uncompressed."""

    number: int
    offset: int


def end_of(log: str) -> Position:
    """Return where a log ends now."""
    try:
        size = os.stat(log).st_size
    except FileNotFoundError:
        size = 0
    return Position(logfiles.current_number(log), size)


def open_number(log: str, number: int) -> BinaryIO | None:
    """Open the file of a number, whatever it is called now; None if it is kept no longer."""
    for _ in range(2):  # it may be rotated between two looks
        for path in logfiles.listed(log).get(number, ()):
            try:
                return _open(path)
            except FileNotFoundError:
                continue
        if logfiles.current_number(log) == number:
            try:
                file = _open(log)
            except FileNotFoundError:
                continue
            if logfiles.current_number(log) == number:
                return file
            file.close()
    return None


class LogReader:
    """A position in a log that grows; `read` moves it on.

    Reading the files instead of asking the shim for a stream keeps the shim free of slow readers,
    and lets a daemon that starts again read what was printed while it was away.
    """

    def __init__(self, log: str, position: Position) -> None:
        self.path = log
        self.position = position
        self.missed = False
        """Whether the files between were removed before they were read."""
        self._file: BinaryIO | None = None

    def read(self, max_bytes: int = BLOCK_BYTES) -> bytes:
        """Return whole lines that are new; a longer line than `max_bytes` comes in pieces.

        Returns: nothing if there is nothing, or it cannot be read now.
        Raises: PermissionError: this user may not read it.
        """
        try:
            return self._read(max_bytes)
        except PermissionError:
            raise
        except DAMAGED:
            self.missed = True
            return self.read(max_bytes) if self._next() else b""
        except OSError:
            self.close()
            return b""

    def pass_over(self, end: int) -> bool:
        """Go on behind whole lines of the same file without reading them, if they are there.

        Returns: whether a line ends at that offset. Raises: PermissionError: as `read`.
        """
        number = self.position.number
        try:
            if self._file is None and not self._open():
                return False
            if self.position.number != number or isinstance(self._file, gzip.GzipFile):
                return False
            assert self._file is not None
            ends = os.pread(self._file.fileno(), 1, end - 1) == b"\n"
        except PermissionError:
            raise
        except OSError:
            return False
        if ends:
            self.position = Position(number, end)
        return ends

    def close(self) -> None:
        """Let go of the file; the position stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, max_bytes: int) -> bytes:
        while True:
            if self._file is None and not self._open():
                return b""
            if lines := self._lines(max_bytes):
                return lines
            if self._is_current():
                return b""
            if lines := self._lines(max_bytes):  # written just before it was rotated
                return lines
            if rest := self._unfinished():
                return rest
            if not self._next():
                return b""

    def _lines(self, max_bytes: int) -> bytes:
        assert self._file is not None
        self._file.seek(self.position.offset)
        block = self._file.read(max_bytes)
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) == max_bytes:
            end = max_bytes
        self.position = attrs.evolve(self.position, offset=self.position.offset + end)
        return block[:end]

    def _unfinished(self) -> bytes:
        """Return what a shim that was killed left without a newline, once a newer file is there."""
        assert self._file is not None
        if logfiles.current_number(self.path) <= self.position.number:
            return b""
        self._file.seek(self.position.offset)
        rest = self._file.read()
        self.position = attrs.evolve(self.position, offset=self.position.offset + len(rest))
        return rest

    def _is_current(self) -> bool:
        """Tell whether more may be appended to the file that is open."""
        assert self._file is not None
        if isinstance(self._file, gzip.GzipFile):
            return False
        ours = os.fstat(self._file.fileno())
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        same = (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
        return same and ours.st_size >= self.position.offset

    def _open(self) -> bool:
        self._file = open_number(self.path, self.position.number)
        return self._file is not None or self._next()

    def _next(self) -> bool:
        """Go on with the next file that there is; stay if there is none."""
        numbers = [n for n in logfiles.listed(self.path) if n > self.position.number]
        current = logfiles.current_number(self.path)
        if current > self.position.number:
            numbers.append(current)
        if not numbers:
            return False
        file = open_number(self.path, numbers[0])
        if file is None:
            return False
        self.close()
        self.missed = self.missed or numbers[0] > self.position.number + 1
        self._file, self.position = file, Position(numbers[0], 0)
        return True


def read_last(log: str, since: Position, max_bytes: int) -> tuple[list[str], Position]:
    """Return the last whole lines that were printed after a position, and where they begin.

    Returns: at most `max_bytes` of them; none if nothing can be read. Only a line that is longer
    than that is cut.
    """
    parts: list[bytes] = []
    left = max_bytes
    begin = end = end_of(log)
    for number in range(end.number, since.number - 1, -1):
        try:
            file = open_number(log, number)
            if file is None:
                continue
            with file:
                start = since.offset if number == since.number else 0
                part, offset = _end_of_file(file, start, left, cut_a_line=not parts)
        except (OSError, *DAMAGED):
            continue
        if part:
            parts.append(part)
            begin = Position(number, offset)
            left -= len(part)
        if left <= 0 or offset > start:
            break
    return b"".join(reversed(parts)).decode(errors="replace").splitlines(), begin


def _end_of_file(
    file: BinaryIO, start: int, max_bytes: int, *, cut_a_line: bool
) -> tuple[bytes, int]:
    """Return the last whole lines of a file from an offset on, and where they begin.

    If there is no whole one, it is the end of one, or nothing.
    """
    size = file.seek(0, io.SEEK_END)
    offset = max(start, size - max_bytes)
    if offset <= start:
        file.seek(start)
        return file.read(max_bytes), start
    file.seek(offset - 1)
    part = file.read(max_bytes + 1)
    cut = part.find(b"\n") + 1
    if cut in (0, len(part)):
        cut = 1 if cut_a_line else len(part)
    return part[cut:], offset - 1 + cut


def _open(path: str) -> BinaryIO:
    refuse_irregular(os.stat(path).st_mode, path)  # a FIFO would be waited for
    if path.endswith(GZIP):
        return gzip.open(path, "rb")  # type: ignore[return-value]  # a binary file by its use
    return open(path, "rb")
