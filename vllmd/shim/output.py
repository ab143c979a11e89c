"""Capture of the engine's output: from a pipe to the log, and its last part in memory."""

import fcntl
import os
import time

from vllmd.shim.counted import tag_of
from vllmd.shim.internal_errors import InternalErrors
from vllmd.shim.logfile import LogFile
from vllmd.shim.output_filter import OutputFilter
from vllmd.shim.protocol import ROTATION, Message, Rotation, Spec
from vllmd.shim.writer import Writer

READ_BYTES = 128 * 1024
PIPE_BYTES = 1024 * 1024
GATHER_S = 0.02
"""Lines are let gather for so long: to wake for each would cost more than all else."""
GATHERED_BYTES = 64 * 1024
"""With so much read at once there is a flood, and nothing is waited for."""
CLOSE_S = 5.0
"""How long the end of the output may wait for a disk that takes nothing."""


class Output:
    """Both streams of one engine, read from a pipe.

    The engine never waits for a disk: past a bounded buffer, lines are dropped and counted.
    """

    def __init__(self, spec: Spec, errors: InternalErrors | None = None) -> None:
        """Open the log and the pipe.

        Raises: OSError: the log file cannot be opened.
        """
        file = LogFile(spec["log"], spec.get("rotation", ROTATION), tag_of(spec.get("marks", ())))
        self.log_number, self.log_offset = file.number, file.size
        self._writer = Writer(file, errors=errors)
        self._filter = OutputFilter(spec.get("secrets", ()), spec.get("marks"))
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        _enlarge(self.read_fd)
        os.set_blocking(self.read_fd, False)
        self.bytes = 0
        self._tail = b""
        self._tail_bytes = spec["tail_bytes"]
        self._ready_at = 0.0

    def wait_s(self) -> float:
        """Return for how many seconds lines may gather before the next `drain`; 0: it is time."""
        return max(0.0, self._ready_at - time.monotonic())

    def drain(self) -> bool:
        """Read what the pipe holds now, at most one block.

        Returns: False at the end of the stream: every writer is gone.
        """
        try:
            block = os.read(self.read_fd, READ_BYTES)
        except BlockingIOError:
            return True
        if len(block) < GATHERED_BYTES:
            self._ready_at = time.monotonic() + GATHER_S
        if block:
            self._take(block)
        return bool(block)

    def drain_all(self) -> None:
        """Read until the pipe is empty; for when nobody writes any more."""
        while True:
            try:
                block = os.read(self.read_fd, READ_BYTES)
            except BlockingIOError:
                break
            if not block:
                break
            self._take(block)
        self._keep(self._filter.finish())

    def _take(self, block: bytes) -> None:
        self.bytes += len(block)
        self._keep(self._filter.feed(block))

    def _keep(self, lines: bytes) -> None:
        if not lines:
            return
        kept = lines if len(lines) >= self._tail_bytes else self._tail + lines
        self._tail = kept[-self._tail_bytes :]
        self._writer.put(lines, self._filter.counted)

    def tail(self, lines: int) -> list[str]:
        """Return the last lines that the engine printed, oldest first."""
        text = self._tail.decode(errors="replace").splitlines()
        if len(self._tail) >= self._tail_bytes and len(text) > 1:
            text = text[1:]  # the first line is cut
        if unfinished := self._filter.unfinished:
            text.append(unfinished[-self._tail_bytes :].decode(errors="replace"))
        return text[-lines:] if lines > 0 else []

    def status(self) -> Message:
        """Return the figures of `protocol.Status` that are about the output."""
        writer = self._writer
        return {
            "output_bytes": self.bytes,
            "log_lost_bytes": writer.dropped_bytes,
            "log_dropped_lines": writer.dropped_lines,
            "log_rotations": writer.file.rotations,
            "log_problem": writer.problem,
            "log_settled": writer.is_idle,
            "log_cut_lines": self._filter.cut_lines,
            "unfinished": self._filter.unfinished.decode(errors="replace")[-1000:],
        }

    def rotate(self) -> None:
        """Begin a new file of the log soon."""
        self._writer.rotate()

    def set_rotation(self, rotation: Rotation) -> None:
        """Rotate so from now on."""
        self._writer.file.rotation = rotation

    def close(self) -> None:
        """Bring the log to the disk, if it takes it in time, and close everything."""
        self._writer.close(CLOSE_S)
        os.close(self.read_fd)


def _enlarge(fd: int) -> None:
    """Make the pipe as large as the kernel allows: so much more time to be late."""
    size = PIPE_BYTES
    while size > 65536:
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
        except OSError:  # above /proc/sys/fs/pipe-max-size, or all that this user may have
            size //= 2
        else:
            return
