"""Capture of the engine's output: to the log file, and its last part in memory."""

import contextlib
import os

READ_BYTES = 256 * 1024


class Output:
    """Both streams of one engine, read from a pipe.

    The engine never waits for a disk that is full: what cannot be written is counted in
    `lost_bytes` and its last part is still in memory.
    """

    def __init__(self, log_path: str, tail_bytes: int) -> None:
        """Open the log and the pipe.

        Raises: OSError: the log file cannot be opened.
        """
        self.log_fd = os.open(
            log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640
        )
        self.log_offset = os.fstat(self.log_fd).st_size
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read_fd, False)
        self.bytes = 0
        self.lost_bytes = 0
        self._tail = b""
        self._tail_bytes = tail_bytes

    def drain(self) -> bool:
        """Read what the pipe holds now, at most one block.

        Returns: False at the end of the stream: every writer is gone.
        """
        try:
            block = os.read(self.read_fd, READ_BYTES)
        except BlockingIOError:
            return True
        if block:
            self._take(block)
        return bool(block)

    def drain_all(self) -> None:
        """Read until the pipe is empty; for when nobody writes any more."""
        while True:
            try:
                block = os.read(self.read_fd, READ_BYTES)
            except BlockingIOError:
                return
            if not block:
                return
            self._take(block)

    def _take(self, block: bytes) -> None:
        self.bytes += len(block)
        self._tail = (self._tail + block)[-self._tail_bytes :]
        view = memoryview(block)
        while view:
            try:
                view = view[os.write(self.log_fd, view) :]
            except OSError:
                self.lost_bytes += len(view)
                return

    def tail(self, lines: int) -> list[str]:
        """Return the last lines that the engine printed, oldest first."""
        text = self._tail.decode(errors="replace").splitlines()
        if len(self._tail) >= self._tail_bytes and len(text) > 1:
            text = text[1:]  # the first line is cut
        return text[-lines:] if lines > 0 else []

    def close(self) -> None:
        """Bring the log to the disk and close everything."""
        with contextlib.suppress(OSError):
            os.fsync(self.log_fd)
        os.close(self.log_fd)
        os.close(self.read_fd)
