"""The errors of a run that a flood of later ones would push out of sight, in bounded memory."""

from collections.abc import Sequence

import attrs

from vllmd.engine.log_reading.reading import FATAL
from vllmd.logs.reader import Position

TRACEBACK = b"Traceback (most recent call last):"
READY = b"Application startup complete."
WINDOW_LINES = 200
"""Of an error that may be one that the engine survives."""
FATAL_LINES = 600
"""From the first line on that says that the engine ends: its tracebacks, and more."""
WINDOWS = 4
"""So many errors before that are kept; what led to the end is among the last of them."""
LINE_BYTES = 2000


@attrs.define
class _Window:
    """Lines from an error on, until it is full."""

    room: int = WINDOW_LINES
    lines: list[str] = attrs.field(factory=list)

    def take(self, lines: Sequence[bytes]) -> int:
        """Take the first of these lines; returns how many there was room for."""
        taken = lines[: self.room - len(self.lines)]
        self.lines += [line[:LINE_BYTES].decode(errors="replace") for line in taken]
        return len(taken)

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return len(self.lines) >= self.room


class FirstErrors:
    """Windows of one run's output: the first error, the last ones before the end, and the end.

    An error that an engine survives opens a window as well, since nobody knows yet that it does; of
    those only the last are kept. The first line that says that the engine ends opens the last
    window: what comes after that one, however much, is not looked at.
    """

    def __init__(self) -> None:
        self.begin(Position(0, 0))

    def begin(self, since: Position) -> None:
        """Forget those of the run before, also what is still to be read of it."""
        self._since = since
        self._windows: list[_Window] = []
        self._ready: str | None = None
        self._ready_at = 0
        """How many windows come before the line that says that it serves."""
        self._over = False

    def add(self, bad: Sequence[bytes], block: bytes, at: Position) -> None:
        """Look at a block that begins at a position, and at its lines that are errors."""
        if self._over and (not self._windows or self._windows[-1].full):
            return
        if at < self._since:
            if at.number < self._since.number:
                return
            block = block[self._since.offset - at.offset :]
        if self._ready is None and READY in block:
            self._ready, self._ready_at = f"INFO:     {READY.decode()}", len(self._windows)
        if not self._is_open() and not bad and TRACEBACK not in block:
            return
        self._collect(block, bad)

    def _is_open(self) -> bool:
        return bool(self._windows) and not self._windows[-1].full

    def _collect(self, block: bytes, bad: Sequence[bytes]) -> None:
        lines, triggers = block.splitlines(), set(bad)
        fatal = 0 if self._over else self._first_fatal(lines, triggers)
        if fatal is None:
            self._fill(lines, triggers)
            return
        if not self._over:
            self._fill(lines[:fatal], triggers)
            self._over = True
            self._windows.append(_Window(FATAL_LINES))
        self._windows[-1].take(lines[fatal:])

    def _fill(self, lines: Sequence[bytes], triggers: set[bytes]) -> None:
        """Put lines into the window that is open, and open others where an error begins."""
        index = 0
        while index < len(lines):
            if self._is_open():
                index += self._windows[-1].take(lines[index:])
                continue
            start = next(
                (
                    i
                    for i in range(index, len(lines))
                    if lines[i] in triggers or TRACEBACK in lines[i]
                ),
                None,
            )
            if start is None:
                return
            self._open()
            index = start

    def _open(self) -> None:
        if len(self._windows) > WINDOWS:
            del self._windows[1]
            self._ready_at = max(min(self._ready_at, 1), self._ready_at - 1)
        self._windows.append(_Window())

    @staticmethod
    def _first_fatal(lines: Sequence[bytes], triggers: set[bytes]) -> int | None:
        for at, line in enumerate(lines):
            if line in triggers and FATAL.search(line.decode(errors="replace")):
                return at
        return None

    def before(self, printed: Sequence[str]) -> list[str]:
        """Return what is not among the last lines that were printed, and then these."""
        kept: list[str] = []
        seen = set(printed)
        ready = self._ready if not any(READY.decode() in line for line in printed) else None
        for number, window in enumerate(self._windows):
            if ready is not None and number == self._ready_at:
                kept.append(ready)
            if window.lines and window.lines[0] not in seen:
                kept += _without(window.lines, printed)
        if ready is not None and self._ready_at >= len(self._windows):
            kept.append(ready)
        return [*kept, *printed]


def _without(lines: Sequence[str], printed: Sequence[str]) -> Sequence[str]:
    """Return lines up to where the last ones that were printed begin."""
    if not printed or printed[0] not in lines:
        return lines
    for index, line in enumerate(lines):
        if line == printed[0] and lines[index:] == list(printed[: len(lines) - index]):
            return lines[:index]
    return lines
