"""The parts of a log that its shim has counted, in which nothing is to be looked at."""

import os
from collections import deque

from vllmd.logs.reader import Position
from vllmd.shim import counted, logfiles
from vllmd.shim.counted import Counted
from vllmd.shim.files import open_regular

NOTES_BYTES = 1024 * 1024
"""Most that is read of them at once."""


class CountedParts:
    """Reads what the shim notes beside one log, as it comes; for one thread."""

    def __init__(self, log: str, marks: tuple[str, ...]) -> None:
        """Know the notes of a shim that was given the same marks."""
        self._log = log
        self._tag = counted.tag_of(marks)
        self._number = 0
        self._read_to = 0
        self._parts: deque[Counted] = deque()

    def next(self, position: Position) -> Counted | None:
        """Return the next part of the same file that begins at a position or after it."""
        if position.number != self._number:
            self._number, self._read_to = position.number, 0
            self._parts.clear()
        part = self._known(position.offset)
        if part is None and self._read():
            part = self._known(position.offset)
        return part

    def _known(self, offset: int) -> Counted | None:
        while self._parts and self._parts[0].begin < offset:
            self._parts.popleft()
        return self._parts[0] if self._parts else None

    def _read(self) -> bool:
        """Read what is new; a line that is not complete is read again."""
        try:
            with open_regular(logfiles.times(self._log, self._number)) as file:
                if os.fstat(file.fileno()).st_size == self._read_to:
                    return False
                file.seek(self._read_to)
                block = file.read(NOTES_BYTES)
        except OSError:
            return False
        end = block.rfind(b"\n") + 1
        self._read_to += end
        for line in block[:end].splitlines():
            if line.startswith(b"=") and (part := counted.decode(self._tag, line)):
                self._parts.append(part)
        return end > 0
