"""The lines of a log that somebody wants: the newest, or all, and those to come."""

import gzip
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import attrs

from vllmd.logs.line_times import LineTimes
from vllmd.logs.lines import ODD_BYTES, Line, parse_line
from vllmd.logs.reader import DAMAGED, LogReader, Position, end_of, open_number
from vllmd.shim import logfiles
from vllmd.shim.counted import LEVELS, NO_LEVEL
from vllmd.util.units import KIB

_BLOCK_BYTES = 64 * KIB


@attrs.frozen
class LogFilter:
    """Which lines. A line that says no level, or no process, is of the line before it."""

    since: float | None = None
    until: float | None = None
    level: str | None = None
    processes: tuple[str, ...] = ()
    """Beginnings of names, whatever their case."""
    grep: re.Pattern[str] | None = None

    @property
    def everything(self) -> bool:
        """Whether no line is left out."""
        return self == LogFilter()


class LineFilter:
    """Lets through what is wanted, in the order in which it was printed."""

    def __init__(self, wanted: LogFilter) -> None:
        self._wanted = wanted
        self._level = NO_LEVEL
        self._process = ""
        self._processes = tuple(name.casefold() for name in wanted.processes)
        first = LEVELS.index(wanted.level) if wanted.level else 0
        self._levels = frozenset(LEVELS[first:]) if wanted.level else frozenset()

    def passes(self, line: Line) -> bool:
        """Tell whether a line is wanted; every line is to be shown to it."""
        if line.level != NO_LEVEL or line.process:
            self._level, self._process = line.level, (line.process or "").casefold()
        wanted, at = self._wanted, line.at
        return (
            (wanted.since is None or (at is not None and at >= wanted.since))
            and (wanted.until is None or (at is not None and at <= wanted.until))
            and (not self._levels or self._level in self._levels)
            and (not self._processes or self._process.startswith(self._processes))
            and (wanted.grep is None or wanted.grep.search(line.text) is not None)
        )


def newest(log: str, wanted: LogFilter, count: int) -> tuple[list[Line], Position]:
    """Return the newest `count` lines that are wanted, and where the log ended."""
    end = end_of(log)
    found: deque[Line] = deque()
    for number in sorted(_numbers(log, end), reverse=True):
        if count <= len(found):
            break
        left = count - len(found)
        start = _tail_offset(log, number, left) if wanted.everything else 0
        lines = deque(_filtered(log, number, start, end, LineFilter(wanted)), maxlen=left)
        found.extendleft(reversed(lines))
    return list(found), end


def oldest_first(log: str, wanted: LogFilter, end: Position) -> Iterator[Line]:
    """Yield every line that is wanted, up to where the log ended."""
    line_filter = LineFilter(wanted)
    for number in sorted(_numbers(log, end)):
        start = LineTimes(log, number).offset_of(wanted.since) if wanted.since is not None else 0
        yield from _filtered(log, number, start, end, line_filter)


def to_come(reader: LogReader, line_filter: LineFilter, now: float) -> Iterator[Line]:
    """Yield what is new and wanted of a log that is followed; each came just `now`."""
    while block := reader.read():
        for raw in block.splitlines():
            line = parse_line(raw.decode(errors=ODD_BYTES), now)
            if line_filter.passes(line):
                yield line


def _numbers(log: str, end: Position) -> set[int]:
    return {*logfiles.listed(log), end.number}


def _filtered(
    log: str, number: int, start: int, end: Position, line_filter: LineFilter
) -> Iterator[Line]:
    file = open_number(log, number)
    if file is None:
        return
    stop = end.offset if number == end.number else None
    with file:
        try:
            yield from filter(line_filter.passes, _lines(file, start, stop, log, number))
        except (OSError, *DAMAGED) as error:
            text = f"[vllmd] the rest of file {number} cannot be read: {error}"
            yield Line(None, None, None, NO_LEVEL, text)


def _lines(file: BinaryIO, start: int, stop: int | None, log: str, number: int) -> Iterable[Line]:
    arrivals = LineTimes(log, number)
    offset = start
    file.seek(start)
    for raw in file:
        if stop is not None and offset >= stop:
            return
        yield parse_line(raw.rstrip(b"\n").decode(errors=ODD_BYTES), arrivals.at(offset))
        offset += len(raw)


def _tail_offset(log: str, number: int, count: int) -> int:
    """Return an offset after which there are `count` lines at most; 0 in a compressed file."""
    file = open_number(log, number)
    if file is None:
        return 0
    with file:
        if isinstance(file, gzip.GzipFile):  # to go back is to begin anew
            return 0
        position = file.seek(0, 2)
        seen = 0
        while position > 0:
            size = min(_BLOCK_BYTES, position)
            position -= size
            file.seek(position)
            block = file.read(size)
            seen += block.count(b"\n")
            if seen > count:
                return position + _after_newlines(block, seen - count)
        return 0


def _after_newlines(block: bytes, count: int) -> int:
    index = -1
    for _ in range(count):
        index = block.index(b"\n", index + 1)
    return index + 1
