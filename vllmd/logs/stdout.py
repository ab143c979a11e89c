"""Lines copied to standard output, each behind the engine's name: where a container's logs are."""

import time
from collections.abc import Sequence

from vllmd.util.background_writer import BackgroundWriter

WAIT_S = 2.0
"""Most that is waited for a reader in each `EACH_S`: who hands over lines has more to do."""
EACH_S = 10.0


class Stdout:
    """Copies the lines of one engine. What is not taken is counted.

    A burst waits for a reader that reads, a few seconds; nobody waits for one that does not.
    """

    def __init__(self, engine: str, writer: BackgroundWriter) -> None:
        """Copy to `writer`, which the engines share; each has its own room in it."""
        self._engine = engine
        self._head = f"{engine} | ".encode()
        self._writer = writer
        self.dropped = 0
        self._waited_s = self._since = 0.0

    def send(self, lines: Sequence[bytes]) -> None:
        """Copy these; it may wait, so it is called in a thread."""
        for line in lines:
            text = self._head + line + b"\n"
            if self._put(text) or (self._waits(len(text)) and self._put(text)):
                continue
            self._lost()

    def _put(self, text: bytes) -> bool:
        return self._writer.put(self._engine, text, self._lost)

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
        """Nothing is to be let go of: the output is the daemon's."""
