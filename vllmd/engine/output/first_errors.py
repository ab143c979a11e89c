"""The errors of a run that a flood of later ones would push out of sight, in bounded memory."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import attrs

from vllmd.engine.log_reading.reading import FATAL
from vllmd.logs import milestones
from vllmd.logs.reader import Position

READY = milestones.READY.encode()
MARKS = tuple(
    map(
        str.encode,
        (
            "ERROR",
            "CRITICAL",
            milestones.TRACEBACK,
            "atchdog ",
            "Fatal Python error",
            "Segfault encountered",
            "terminate called after",
            '"error"',
            '"critical"',
        ),
    )
)
"""What a block has of which a line is an error; most have none, and are not looked at further."""
BANNERS = tuple(map(str.encode, milestones.BANNERS))
HINTS = (*BANNERS, b"NCCL WARN", b"thrown while requesting ", b", retrying ")
"""What else is kept: that a run begins; warnings of NCCL and of the hub's client, which may be the
reason of an error after them."""
ALL_MARKS = tuple(sorted({mark.decode() for mark in (*MARKS, *HINTS, READY)}))
"""A line with none of these is kept only if it follows an error."""
MAX_HINTS = 16
_LOUD = re.compile(
    rb"(?:(?!\b(?:DEBUG|INFO|WARNING)\b)[^\n]){0,200}?\b(?:ERROR|CRITICAL)\b"
    rb'|\{[^\n]*"(?:error|critical|ERROR|CRITICAL)"'
)
"""A line at such a level, whatever stands before the level; a record in JSON."""
WINDOW_LINES, WINDOW_BYTES = 200, 128 * 1024
"""Of an error that may be one that the engine survives."""
FATAL_LINES, FATAL_BYTES = 600, 512 * 1024
"""From the first line on that says that the engine ends: its tracebacks, and more."""
WINDOWS = 4
"""Errors before that which are kept; what led to the end is among the last of them."""
LINE_BYTES = 16 * 1024
"""A record in JSON has its traceback in one line."""

TRACEBACK = milestones.TRACEBACK.encode()
_FATAL = tuple(map(str.encode, milestones.FATAL))


@attrs.frozen
class Kept:
    """Where in the log what is kept of it is, for the next daemon.

    `windows` and `hints` are the positions of the first and the last line of each.
    """

    windows: tuple[tuple[Position, Position], ...] = ()
    hints: tuple[Position, ...] = ()
    ready_at: Position | None = None
    over: bool = False
    """Whether the last window is that of the end."""


Placed = tuple[int, bytes]
"""A line with its end, and the offset in its file at which it begins."""


@attrs.define
class _Window:
    """Lines from an error on, until it is full."""

    max_lines: int = WINDOW_LINES
    max_bytes: int = WINDOW_BYTES
    lines: list[tuple[Position, str]] = attrs.field(factory=list)
    size: int = 0

    def room(self, lines: Sequence[Placed]) -> int:
        """Return how many of these lines there is room for."""
        count, size = 0, self.size
        most = self.max_lines - len(self.lines)
        while count < min(most, len(lines)) and size < self.max_bytes:
            size += min(len(lines[count][1]), LINE_BYTES)
            count += 1
        return count

    def take(self, lines: Sequence[Placed], number: int) -> None:
        """Take these lines of a file."""
        self.lines += [(Position(number, offset), _text(line)) for offset, line in lines]
        self.size += sum(min(len(line), LINE_BYTES) for _, line in lines)

    @property
    def full(self) -> bool:
        """Whether there is no room."""
        return len(self.lines) >= self.max_lines or self.size >= self.max_bytes


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
        self._hints: deque[tuple[Position, str]] = deque(maxlen=MAX_HINTS)
        self._ready_at: Position | None = None
        self._over = False

    def add(self, block: bytes, at: Position) -> None:
        """Look at whole lines that begin at a position.

        What is kept is the same however lines come in blocks.
        """
        if at < self._since:
            if at.number < self._since.number:
                return
            block, at = block[self._since.offset - at.offset :], self._since
        while block:
            if self._over:
                left = self._after_end(block, at)
                if left:
                    self.begin(Position(at.number, at.offset + len(block) - len(left)))
            else:
                left = self._before_end(block, at)
            at = Position(at.number, at.offset + len(block) - len(left))
            block = left

    def _before_end(self, block: bytes, at: Position) -> bytes:
        """Take lines up to the first that says that the engine ends; return those after it."""
        hinted = any(mark in block for mark in HINTS)
        ready = self._ready_at is None and READY in block
        marks = tuple(mark for mark in MARKS if mark in block)
        if not (hinted or ready or marks or self._is_open()):
            return b""
        lines = _placed(block, at.offset)
        fatal = _first_fatal(lines, block)
        if ready:
            found = (offset for offset, line in lines[:fatal] if READY in line)
            self._ready_at = next((Position(at.number, offset) for offset in found), None)
        if hinted:
            self._take_hints(lines[:fatal], at.number)
        self._fill(lines[:fatal], at.number, marks)
        if fatal is None:
            return b""
        self._over = True
        self._windows.append(_Window(FATAL_LINES, FATAL_BYTES))
        self._windows[-1].take(lines[fatal : fatal + 1], at.number)
        offset, line = lines[fatal]
        return block[offset - at.offset + len(line) :]

    def _after_end(self, block: bytes, at: Position) -> bytes:
        """Take lines up to one that says that a script runs it again; return that and the rest."""
        banners = [found for mark in BANNERS if (found := block.find(mark)) >= 0]
        again = block.rfind(b"\n", 0, min(banners)) + 1 if banners else len(block)
        if self._is_open():
            lines = _placed(block[:again], at.offset)
            self._windows[-1].take(lines[: self._windows[-1].room(lines)], at.number)
        return block[again:]

    @property
    def takes_any(self) -> bool:
        """Whether any line that comes now is kept, as it follows an error."""
        return self._is_open()

    def kept(self) -> Kept:
        """Return where what is kept is."""
        windows = [list(window.lines) for window in list(self._windows)]
        return Kept(
            tuple((lines[0][0], lines[-1][0]) for lines in windows if lines),
            tuple(at for at, _ in list(self._hints)),
            self._ready_at,
            self._over,
        )

    def keep_again(self, kept: Kept, read: Callable[[Position, int], bytes]) -> None:
        """Keep what the daemon before had kept of a run that goes on.

        `read` returns so many bytes of the log, or as many as the file at a position has.
        """
        if self._windows or (kept.windows and kept.windows[0][0] < self._since):
            return  # of the run before
        self._ready_at = kept.ready_at
        for at in kept.hints:
            line = read(at, LINE_BYTES).partition(b"\n")[0]
            self._hints.append((at, _text(line)))
        for count, (first, last) in enumerate(kept.windows, 1):
            self._over = kept.over and count == len(kept.windows)
            window = _Window(FATAL_LINES, FATAL_BYTES) if self._over else _Window()
            for number in range(first.number, min(last.number, first.number + FATAL_LINES) + 1):
                begin = first.offset if number == first.number else 0
                to = last.offset if number == last.number else begin + window.max_bytes
                lines = _placed(read(Position(number, begin), to - begin + LINE_BYTES), begin)
                window.take([each for each in lines if each[0] <= to], number)
            if not window.lines or window.lines[-1][0] != last:
                window.max_lines = len(window.lines)  # what follows in the log is not what followed
            self._windows.append(window)

    def _is_open(self) -> bool:
        return bool(self._windows) and not self._windows[-1].full

    def _take_hints(self, lines: Sequence[Placed], number: int) -> None:
        for offset, line in lines:
            at = Position(number, offset)
            again = self._hints and at <= self._hints[-1][0]
            if not again and any(mark in line for mark in HINTS):
                self._hints.append((at, _text(line)))

    def _fill(self, lines: Sequence[Placed], number: int, marks: Sequence[bytes]) -> None:
        """Put lines into the window that is open, and open others where an error begins.

        `marks` are those that any of the lines may have.
        """
        index = 0
        if self._windows:
            window = self._windows[-1]
            if window.lines and lines and Position(number, lines[0][0]) <= window.lines[-1][0]:
                lines = lines[1:]  # read again for what a traceback after it is of
            index = window.room(lines)
            window.take(lines[:index], number)
        begun = list(_windows_of(lines, index, marks))
        if not self._windows and begun:
            self._open_window(lines[slice(*begun.pop(0))], number)
        for begin, end in begun[-WINDOWS:]:
            self._open_window(lines[begin:end], number)

    def _open_window(self, lines: Sequence[Placed], number: int) -> None:
        if len(self._windows) > WINDOWS:
            del self._windows[1]
        self._windows.append(_Window())
        self._windows[-1].take(lines, number)

    def before(self, printed: Sequence[str], since: Position | None = None) -> list[str]:
        """Return what came before the last lines that were printed, and then these.

        `since` is where these begin in the log; all that is known comes before them, if None.
        """
        kept = sorted(self._kept(), key=lambda each: each[0])
        return [*(line for at, line in kept if since is None or at < since), *printed]

    def _kept(self) -> Iterator[tuple[Position, str]]:
        lines = {at: line for window in list(self._windows) for at, line in list(window.lines)}
        yield from {**dict(self._hints), **lines}.items()
        if self._ready_at is not None and self._ready_at not in lines:
            yield self._ready_at, f"INFO:     {milestones.READY}."


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n")[:LINE_BYTES].decode(errors="replace")


def _placed(block: bytes, offset: int) -> list[Placed]:
    lines = block.splitlines(keepends=True)
    return list(zip(accumulate(map(len, lines), initial=offset), lines, strict=False))


def _windows_of(
    lines: Sequence[Placed], index: int, marks: Sequence[bytes]
) -> Iterator[tuple[int, int]]:
    """Yield the begin and the end of each window among lines, from an index on."""
    while True:
        marked = (n for n in range(index, len(lines)) if any(mark in lines[n][1] for mark in marks))
        begin = next((each for each in marked if _is_error(lines[each][1])), None)
        if begin is None:
            return
        if begin > index and TRACEBACK in lines[begin][1]:
            begin -= 1  # what is said of it, maybe behind another level of what keeps the log
        index = begin + _Window().room(lines[begin : begin + WINDOW_LINES])
        yield begin, index


def _is_error(line: bytes) -> bool:
    return any(mark in line for mark in MARKS[2:]) or _LOUD.match(line) is not None


def _first_fatal(lines: Sequence[Placed], block: bytes) -> int | None:
    if not any(words in block for words in _FATAL):
        return None
    for index, (_, line) in enumerate(lines):
        if _is_error(line) and FATAL.search(line.decode(errors="replace")):
            return index
    return None
