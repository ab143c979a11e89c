"""Read what was appended to a log since the last look."""

import os

from vllmd.units import KIB

LAST_BYTES = 256 * KIB


def read_last_lines(path: str, offset: int) -> list[str]:
    """Return the last lines that a run printed, whose output begins at `offset` of a log.

    Returns: at most `LAST_BYTES` of them; none if the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = max(offset, os.fstat(file.fileno()).st_size - LAST_BYTES)
            file.seek(start)
            block = file.read(LAST_BYTES)
    except OSError:
        return []
    return block.decode(errors="replace").splitlines()


class LogFollower:
    """A position in a log file that the shim writes.

    Reading the file instead of asking the shim for a stream keeps the shim free of slow readers,
    and lets a daemon that starts again read what was printed while it was away.
    """

    MAX_READ_BYTES = 4 * 1024 * 1024

    def __init__(self, path: str, offset: int) -> None:
        self._path = path
        self._offset = offset
        self._rest = b""

    def read_lines(self) -> list[str]:
        """Return the complete lines that are new; none if the file cannot be read now."""
        try:
            with open(self._path, "rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                block = file.read(self.MAX_READ_BYTES)
        except OSError:
            return []
        self._offset += len(block)
        *lines, self._rest = (self._rest + block).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
