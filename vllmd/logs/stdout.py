"""Lines copied to standard output, each behind the engine's name: where a container's logs are."""

import os
import select
from collections.abc import Sequence

AT_ONCE = 4096
"""A pipe that is ready takes so much without a wait. Source: pipe(7), PIPE_BUF."""
WAIT_S = 1.0


class Stdout:
    """Copies the lines of one engine. What is not taken in time is counted: nobody waits for it."""

    def __init__(self, engine: str, fd: int = 1) -> None:
        self._head = f"{engine} | ".encode()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._late = False
        self.dropped = 0

    def send(self, lines: Sequence[bytes]) -> None:
        """Copy these."""
        self._late = False
        for line in lines:
            if not self._write(self._head + line + b"\n"):
                self.dropped += 1

    def _write(self, text: bytes) -> bool:
        """Write it all; False if there was no room in time, or nobody reads."""
        while text:
            # of many lines that wait only the first does so for long
            events = self._poll.poll(0 if self._late else WAIT_S * 1000)
            if not any(event & select.POLLOUT for _, event in events):
                self._late = True
                return False
            try:
                text = text[os.write(self._fd, text[:AT_ONCE]) :]
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Nothing is to be let go of: the output is the daemon's."""
