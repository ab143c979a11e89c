"""One engine's output as the daemon follows it: each line once, also those of its absence."""

import contextlib
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from vllmd.engine.output.first_errors import ALL_MARKS, LINE_BYTES, TRACEBACK, FirstErrors, Kept
from vllmd.engine.output.shim_status import ShimStatus
from vllmd.engine.process.shim_client import ask
from vllmd.errors import ShimError
from vllmd.logs.compress import Compressor
from vllmd.logs.counted_parts import CountedParts
from vllmd.logs.level_counts import LevelCounts
from vllmd.logs.reader import BLOCK_BYTES, LogReader, Position, end_of
from vllmd.shim import logfiles
from vllmd.shim.logfile import LogFile
from vllmd.shim.protocol import SOCKET_NAME, Rotation
from vllmd.util.deadline import READ_S, call_within
from vllmd.util.state_file import NotRead, StateFile
from vllmd.util.units import MIB
from vllmd.util.within import run_within

AT_ONCE_BYTES = 64 * MIB
"""About so much is read at once, besides what is passed over: a flood must not keep a thread for
ever. Not so many blocks: between parts that are passed over they may be small.
"""
Listener = Callable[[bytes, Position], None]
"""Takes whole lines of a log, and where they begin in it; none at the first look."""


@attrs.frozen
class OutputFigures:
    """What is known of an engine's log; None is what is not known now."""

    name: str
    lines: dict[str, int]
    bytes: dict[str, int]
    used_bytes: int
    budget_bytes: int
    last_line_at: float | None
    dropped_lines: int | None = None
    dropped_bytes: int | None = None
    rotations: int | None = None
    problem: str | None = None
    cut_lines: int | None = None


class EngineOutput:
    """Follows one log. `look` and `compress` wait for the disk: they are called in threads."""

    def __init__(
        self,
        name: str,
        log: Path,
        directory: Path,
        memory: Path,
        rotation: Rotation,
        errors: FirstErrors,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Follow `log` on from where `memory` says, or from its end.

        `directory` is that of the engine's shim; `listeners` are handed the lines in a thread.
        """
        self.name = name
        self._log = str(log)
        self._socket = directory / SOCKET_NAME
        self._memory = StateFile(
            memory,
            if_unusable="lines that came while no daemon ran are not counted",
            if_not_written="lines may be counted twice by the next daemon",
            sync=False,
        )
        self._rotation = rotation
        self._errors = errors
        self._listeners = listeners
        self._counts = LevelCounts()
        self._counted = CountedParts(self._log, ALL_MARKS)
        self._reader: LogReader | None = None
        self._told: Position | None = None
        self._kept_before: Kept | None = None
        self._told_rotation: object = None
        self._shim = ShimStatus(self._socket)
        self._all_read = False
        """Whether the last look came to the end of the log."""
        self._looked = False
        self._compressor = Compressor(self._log)
        self._used_bytes = 0
        self._last_line_at: float | None = None
        self.looked_at = -math.inf
        """For who has it looked at: when that was last, by the monotonic clock."""
        self._looking = threading.Lock()
        with contextlib.suppress(TimeoutError):  # a disk that hangs is waited for by a look
            call_within(str(log.parent), self._begin, 2 * READ_S)

    def _begin(self) -> None:
        with self._looking:
            self._open()

    def look(self) -> None:
        """Read what is new; whoever wants to know it now may call it from any thread."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        self._all_read = False
        reader = self._open()
        if self._kept_before is not None:
            self._errors.keep_again(self._kept_before, self._read_at)
            self._kept_before = None
        if not self._looked:  # what the daemon before had handed over, and did not come out
            self._looked = True
            for listener in self._listeners:
                listener(b"", reader.position)
        left = AT_ONCE_BYTES
        while left > 0:
            try:
                block = reader.read(self._pass_over(reader))
            except PermissionError:
                return
            if not block:
                break
            self._take(block, reader.position)
            left -= len(block)
        if reader.position != self._told:
            self._remember(reader.position)
        self._used_bytes = logfiles.used_bytes(self._log)
        with contextlib.suppress(OSError):
            info = os.stat(self._log)
            self._last_line_at = info.st_mtime if info.st_size else None
            at = Position(logfiles.current_number(self._log), info.st_size)
            self._all_read = reader.position == at

    def _pass_over(self, reader: LogReader) -> int:
        """Pass over what its shim has counted; return how many bytes may be read up to more of it.

        Raises: PermissionError.
        """
        if self._listeners or self._errors.takes_any:
            return BLOCK_BYTES
        while part := self._counted.next(reader.position):
            if part.begin > reader.position.offset:
                return min(BLOCK_BYTES, part.begin - reader.position.offset)
            if not reader.pass_over(part.end):
                break
            self._counts.take(part.counts)
        return BLOCK_BYTES

    def _take(self, block: bytes, end: Position) -> None:
        begin = Position(end.number, end.offset - len(block))
        self._counts.add(block)
        if begin.offset and TRACEBACK in block.partition(b"\n")[0] and not self._errors.takes_any:
            said = self._line_before(begin)  # what is said of it: that may have been passed over
            at = Position(begin.number, begin.offset - len(said))
            self._errors.add(said + block, at)
        else:
            self._errors.add(block, begin)
        for listener in self._listeners:
            listener(block, begin)

    def _line_before(self, position: Position) -> bytes:
        size = min(position.offset, LINE_BYTES)
        lines = self._read_at(Position(position.number, position.offset - size), size)
        return b"".join(lines.splitlines(keepends=True)[-1:]) if len(lines) == size else b""

    def _read_at(self, position: Position, size: int) -> bytes:
        reader = LogReader(self._log, position)
        try:
            block = reader.read(size)
        except PermissionError:
            return b""
        finally:
            reader.close()
        return block if reader.position.number == position.number else b""

    def _open(self) -> LogReader:
        """Go on where the daemon before was.

        Raises: TimeoutError: the disk is late with it; the next look asks again.
        """
        if self._reader is None:
            remembered = self._memory.read(_remembered)
            if isinstance(remembered, NotRead):
                raise TimeoutError(remembered.problem)
            position, self._kept_before = remembered or (end_of(self._log), None)
            self._reader = LogReader(self._log, position)
            self._told = position if remembered else None
        return self._reader

    def compress(self) -> str | None:
        """Compress what was rotated; returns what is in the way, if something is."""
        if self._reader and self._reader.position.number >= logfiles.current_number(self._log) - 1:
            self._compressor.run()
        return self._compressor.problem

    def close(self) -> None:
        """Let go of everything; the next daemon goes on where this one was."""
        self._compressor.close()
        if self._reader is not None:
            self._reader.close()
        self._shim.close()

    async def ask_shim(self) -> bool:
        """Get the figures of the shim, and tell it how to rotate if it does not know yet.

        Returns: whether there may be something to look at.
        """
        changed = await self._shim.look()
        run_id = self._shim.last.get("run_id")
        if self._shim.engine_runs and self._told_rotation != run_id:
            self._told_rotation = run_id
            with contextlib.suppress(ShimError):  # one of a version that knows no rotation
                await ask(self._socket, {"op": "rotation", "rotation": self._rotation})
        return changed or not self._all_read

    def configure(self, rotation: Rotation, listeners: Sequence[Listener]) -> None:
        """Take over other settings; its shim is told at the next look."""
        if rotation != self._rotation:
            self._rotation = rotation
            self._told_rotation = None
        self._listeners = listeners

    @property
    def under_way(self) -> str | None:
        """The line that was begun and not ended, as of the last look: a progress bar, mostly."""
        return self._shim.last.get("unfinished") or None

    def printing(self, run_id: str) -> str | None:
        """Return the line under way, if it is that run's."""
        return self.under_way if self._shim.last.get("run_id") == run_id else None

    async def rotate(self) -> None:
        """Begin a new file now.

        Raises: ShimError: its shim does not answer; OSError: the disk refuses.
        """
        if self._socket.exists():
            await ask(self._socket, {"op": "rotate"})
        else:
            await run_within(self._log, self._rotate)

    def _rotate(self) -> None:
        if os.path.exists(self._log):
            file = LogFile(self._log, self._rotation)
            if file.size:
                file.rotate()
            file.close()

    def figures(self) -> OutputFigures:
        """Return what is known since the last look; waits for nothing."""
        status = self._shim.last
        return OutputFigures(
            self.name,
            dict(self._counts.lines),
            dict(self._counts.bytes),
            self._used_bytes,
            self._rotation["budget_bytes"],
            self._last_line_at,
            status.get("log_dropped_lines"),
            status.get("log_lost_bytes"),
            status.get("log_rotations"),
            status.get("log_problem"),
            status.get("log_cut_lines"),
        )

    def _remember(self, position: Position) -> None:
        self._memory.save({**attrs.asdict(position), "kept": _written(self._errors.kept())})
        if self._memory.problem is None:
            self._told = position


def _position(record: Mapping[str, Any]) -> Position:
    return Position(int(record["number"]), int(record["offset"]))


def _written(kept: Kept) -> dict[str, Any]:
    return {
        "windows": [[*attrs.astuple(first), *attrs.astuple(last)] for first, last in kept.windows],
        "hints": [attrs.astuple(at) for at in kept.hints],
        "ready_at": attrs.astuple(kept.ready_at) if kept.ready_at else None,
        "over": kept.over,
    }


def _remembered(record: Mapping[str, Any]) -> tuple[Position, Kept | None]:
    """Return where the daemon before was, and what it had kept; older ones do not say that."""
    said = record.get("kept")
    if not said:
        return _position(record), None
    windows = [[int(number) for number in each] for each in said["windows"]]
    kept = Kept(
        tuple((Position(*each[:2]), Position(*each[2:])) for each in windows),
        tuple(Position(*map(int, at)) for at in said["hints"]),
        Position(*map(int, said["ready_at"])) if said["ready_at"] else None,
        bool(said["over"]),
    )
    return _position(record), kept
