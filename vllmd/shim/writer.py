"""The thread that writes the log: whoever reads the engine's pipe never waits for a disk."""

import threading
import time
from collections import deque

from vllmd.shim.counted import Counts
from vllmd.shim.internal_errors import InternalErrors
from vllmd.shim.logfile import LogFile

BUFFER_BYTES = 1536 * 1024
PATIENCE_S = 0.04
"""How long a full buffer is waited for: a disk that is only slower than a flood loses nothing."""
RETRY_S = 0.25
_NEWLINE = b"\n"


class Writer:
    """A bounded buffer before a file, and what did not fit.

    What does not fit is dropped by the line and counted, and the gap is marked in the file. `put`
    and the figures are for one thread, the rest happens in another.
    """

    def __init__(
        self,
        file: LogFile,
        buffer_bytes: int = BUFFER_BYTES,
        errors: InternalErrors | None = None,
    ) -> None:
        self.file = file
        self._errors = errors or InternalErrors()
        self.dropped_lines = 0
        self.dropped_bytes = 0
        self.problem: str | None = None
        """Why nothing can be written now."""
        self._buffer_bytes = buffer_bytes
        self._changed = threading.Condition()
        self._blocks: deque[tuple[bytes, float, Counts | None]] = deque()
        self._queued = 0
        self._gap_lines = 0
        self._gap_bytes = 0
        self._gap_why = ""
        self._rotate = False
        self.is_idle = False
        """Whether nothing is to be written or rotated: nothing changes before the next line."""
        self._give_up_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, block: bytes, counted: Counts | None = None) -> None:
        """Take whole lines that came just now, each with its newline; never waits.

        `counted` is what they are, if nobody need read them.
        """
        with self._changed:
            if not self._has_room(len(block)):
                self._count_dropped(block)
                return
            if self._gap_bytes:
                block, counted = self._mark_gap() + block, None
            self._enqueue(block, counted)

    def rotate(self) -> None:
        """Have the thread begin a new file before the next line."""
        with self._changed:
            self._rotate, self.is_idle = True, False
            self._changed.notify_all()

    def close(self, timeout_s: float) -> None:
        """Write what is left; what cannot be written in time is counted as dropped."""
        with self._changed:
            if self._gap_bytes:
                self._enqueue(self._mark_gap())
            self._give_up_at = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._thread.join(timeout_s + 2 * RETRY_S)
        with self._changed:
            for block, _, _ in self._blocks:
                self._count_dropped(block)
            self._blocks.clear()
        if not self._thread.is_alive():
            self.file.close()

    def _has_room(self, size: int) -> bool:
        if self._gap_bytes:  # once something is lost, what follows waits for a buffer half empty
            return self._queued <= self._buffer_bytes // 2
        if self._queued == 0 or self._queued + size <= self._buffer_bytes:
            return True
        if self.problem is None:
            self._changed.wait_for(
                lambda: self._queued + size <= self._buffer_bytes, timeout=PATIENCE_S
            )
        return self._queued + size <= self._buffer_bytes

    def _count_dropped(self, block: bytes) -> None:
        if not self._gap_bytes:
            self._gap_why = self.problem or "the disk was too slow"
        lines = block.count(_NEWLINE)
        self.dropped_lines += lines
        self.dropped_bytes += len(block)
        self._gap_lines += lines
        self._gap_bytes += len(block)

    def _mark_gap(self) -> bytes:
        mark = gap_mark(self._gap_lines, self._gap_bytes, self._gap_why)
        self._gap_lines = self._gap_bytes = 0
        return mark

    def _enqueue(self, block: bytes, counted: Counts | None = None) -> None:
        self.is_idle = False
        self._blocks.append((block, time.time(), counted))
        self._queued += len(block)
        self._changed.notify_all()

    # --- in the thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self.is_idle = not (self._blocks or self._rotate)
                self._changed.wait_for(
                    lambda: self._blocks or self._rotate or self._give_up_at is not None
                )
                if not self._blocks and not self._rotate:
                    return
                rotate, self._rotate = self._rotate, False
                block, at, counted = self._blocks[0] if self._blocks else (b"", 0.0, None)
            try:
                if rotate and self.file.size:
                    self._rotate_now()
                if block and not self._write(block, at, counted):
                    return
            except Exception as error:  # noqa: BLE001 - without this thread there is no log
                self._errors.note("writing the log", error)
                self._skip(block)
            with self._changed:
                if block and self._blocks:  # `close` has given up what it could not wait for
                    self._blocks.popleft()
                    self._queued -= len(block)
                self._changed.notify_all()

    def _write(self, block: bytes, at: float, counted: Counts | None) -> bool:
        """Write a block to its end, however long the disk refuses; False when it is given up."""
        rest = memoryview(block)
        while rest:
            try:
                written = self.file.write(rest, at)
                rest = rest[written:]
                self.problem = None
                if counted and written == len(block):
                    self.file.note(written, counted)
            except OSError as error:
                self.problem = error.strerror or repr(error)
                if not self._may_retry():
                    self._give_up(block, len(block) - len(rest))
                    return False
        return True

    def _may_retry(self) -> bool:
        time.sleep(RETRY_S)
        with self._changed:
            return self._give_up_at is None or time.monotonic() < self._give_up_at

    def _give_up(self, block: bytes, written: int) -> None:
        """Leave whole lines in the file, and the rest to be counted."""
        whole = block.rfind(_NEWLINE, 0, written) + 1
        self.file.drop_unfinished(written - whole)
        with self._changed:
            self._blocks[0] = (block[whole:], 0.0, None)

    def _skip(self, block: bytes) -> None:
        """Count a block as lost that is not written for a reason that nobody thought of."""
        with self._changed:
            self._count_dropped(block)

    def _rotate_now(self) -> None:
        try:
            self.file.rotate()
        except OSError as error:
            self.problem = error.strerror or repr(error)


def gap_mark(lines: int, size: int, why: str) -> bytes:
    """Return the line that stands for those that are missing."""
    text = f"[vllmd] {lines} lines ({size} bytes) are missing here: {why}"
    return text.encode() + _NEWLINE
