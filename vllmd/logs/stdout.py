"""Lines copied to standard output, each behind the engine's name: where a container's logs are."""

import contextlib
import time
from collections.abc import Iterator

from vllmd.logs.copied import CopiedFile
from vllmd.logs.reader import LogReader, Position, end_of
from vllmd.util.background_writer import MOST_BYTES, BackgroundWriter, Fate

WAIT_S = 2.0
"""Most that is waited for a reader in each `EACH_S`: who hands over lines has more to do."""
EACH_S = 10.0
ENDS = b"\r\n"


class Stdout:
    """Copies the lines of one engine. What is not taken is counted.

    A burst waits for a reader that reads, a few seconds; nobody waits for one that does not. Where
    the daemon before was killed, it goes on behind the last line that came out: of what had been
    handed over then, nothing is lost, and the line that was under way may come twice.
    """

    def __init__(self, engine: str, log: str, writer: BackgroundWriter, copied: CopiedFile) -> None:
        """Copy to `writer`, which the engines share; each has its own room in it."""
        self._engine = engine
        self._log = log
        self._head = f"{engine} | ".encode()
        self._writer = writer
        self._copied = copied
        self._before = copied.read()
        self._done: Position | None = None
        """Up to where the daemon before has copied; None if there is nothing more to pass over."""
        self.dropped = 0
        self._waited_s = self._since = 0.0

    def send(self, block: bytes, begin: Position) -> None:
        """Copy lines, which begin there in the log; it may wait, so it is called in a thread."""
        if self._before is not None:
            self._go_on(begin)
        for line, at in _lines(block, begin):
            self._send(line, at)

    def _send(self, line: bytes, begin: Position) -> None:
        end = Position(begin.number, begin.offset + len(line))
        if self._done is not None:
            if end <= self._done:
                return
            self._done = None
        text = self._head + line.rstrip(ENDS) + b"\n"
        if self._put(text, begin, end):
            return
        if not self._waits(len(text)) or not self._put(text, begin, end):
            self._lost()

    def _go_on(self, begin: Position) -> None:
        """Copy what had been handed over and did not come out; pass over what did."""
        before, self._before = self._before, None
        if before is None or before.end > end_of(self._log):
            return  # that was another log
        self._done = before.end
        if before.begun:
            self._put(b"\n", before.end, before.end)
        for line, at in _lines_between(self._log, before.end, begin):
            self._send(line, at)

    def _put(self, text: bytes, begin: Position, end: Position) -> bool:
        def tell(fate: Fate) -> None:
            if fate is Fate.LOST:
                self._lost()
            else:
                begun = fate is Fate.BEGUN
                self._copied.write(begin if begun else end, begun=begun)

        return self._writer.put(self._engine, text, tell)

    def _waits(self, size: int) -> bool:
        """Wait for room; False if there is none yet."""
        began = time.monotonic()
        if began - self._since > EACH_S:
            self._since, self._waited_s = began, 0.0
        left_s = WAIT_S - self._waited_s
        has_room = left_s > 0 and self._writer.wait_for_room(self._engine, size, left_s)
        self._waited_s += time.monotonic() - began
        return has_room

    def _lost(self) -> None:
        self.dropped += 1

    def close(self) -> None:
        """Let go of the file; the output is the daemon's."""
        self._copied.close()


def _lines(block: bytes, begin: Position) -> Iterator[tuple[bytes, Position]]:
    """Yield the lines of a block, and where each begins."""
    offset = begin.offset
    for line in block.splitlines(keepends=True):
        yield line, Position(begin.number, offset)
        offset += len(line)


def _lines_between(log: str, start: Position, end: Position) -> Iterator[tuple[bytes, Position]]:
    """Yield the lines of a log between two places: at most so much as waits for a reader."""
    reader = LogReader(log, start)
    left = MOST_BYTES
    with contextlib.closing(reader), contextlib.suppress(PermissionError):
        while left > 0 and reader.position < end and (block := reader.read(left)):
            after = reader.position
            begin = Position(after.number, after.offset - len(block))
            for line, at in _lines(block, begin):
                if at >= end:
                    return
                yield line, at
            left -= len(block)
