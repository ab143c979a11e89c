"""When lines of a log came, as its shim wrote down beside it."""

import bisect
import contextlib

from vllmd.shim import logfiles
from vllmd.shim.files import open_regular


class LineTimes:
    """Arrival times of one file of a log, in seconds since the epoch, by offset."""

    def __init__(self, log: str, number: int) -> None:
        self._offsets: list[int] = []
        self._times: list[float] = []
        with contextlib.suppress(OSError), open_regular(logfiles.times(log, number)) as file:
            for line in file:
                offset, _, at = line.partition(b" ")
                with contextlib.suppress(ValueError):  # cut by a full disk
                    self._add(int(offset), float(at))

    def at(self, offset: int) -> float | None:
        """Return when the line at an offset came, to a tenth of a second; None if not known."""
        index = bisect.bisect_right(self._offsets, offset) - 1
        return self._times[index] if index >= 0 else None

    def offset_of(self, since: float) -> int:
        """Return an offset before which everything came earlier than a time."""
        offset = 0
        for start, at in zip(self._offsets, self._times, strict=True):
            if at >= since:
                break
            offset = start
        return offset

    def _add(self, offset: int, at: float) -> None:
        if not self._offsets or offset > self._offsets[-1]:
            self._offsets.append(offset)
            self._times.append(at)
