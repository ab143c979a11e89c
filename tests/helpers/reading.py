"""The reader of GPUs as a process, on the stand-in library or a real one."""

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from vllmd.gpu import wire
from vllmd.gpu.latest import Periods
from vllmd.gpu.sources import command_of
from vllmd.shim import proc


def reader_pids(daemon: int) -> list[int]:
    """Return the readers of a daemon: first the one of the fast set."""
    found = [
        (proc.command_line(stat.pid).split()[-1], stat.pid)
        for stat in proc.descendants(daemon)
        if "vllmd/gpu/__main__.py" in proc.command_line(stat.pid)
    ]
    return [pid for slow_s, pid in sorted(found, key=lambda each: float(each[0]))]


class Reading:
    """What a reader says, message by message."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._messages.put(wire.decode(line))

    def next(self, kind: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """Return the next message of a kind; those of other kinds are passed over."""
        while True:
            try:
                message = self._messages.get(timeout=timeout_s)
            except Empty:
                raise AssertionError(f"no {kind} came") from None
            if message["kind"] == kind:
                return message

    def next_of_any(self, timeout_s: float = 20.0) -> dict[str, Any]:
        """Return the next message."""
        return self._messages.get(timeout=timeout_s)

    def drop(self) -> None:
        """Pass over what was said so far."""
        while not self._messages.empty():
            self._messages.get()

    def tell(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n".encode())
        self.process.stdin.flush()


@contextmanager
def reading(
    env: dict[str, str],
    periods: Periods | None = None,
    source: str = "nvml",
    pass_fds: Sequence[int] = (),
) -> Iterator[Reading]:
    """Run a reader; it ends when its standard input is closed."""
    process = subprocess.Popen(
        command_of(source, periods or Periods(0.05, 0.2, 0.3)),
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        pass_fds=pass_fds,
    )
    try:
        yield Reading(process)
    finally:
        process.kill()
        process.wait()
