"""Lines copied to standard output, each behind the engine's name: where a container's logs are."""

from collections.abc import Sequence

from vllmd.util.background_writer import BackgroundWriter


class Stdout:
    """Copies the lines of one engine. What is not taken is counted: nobody waits for a reader."""

    def __init__(self, engine: str, writer: BackgroundWriter) -> None:
        """Copy to `writer`, which the engines share; each has its own room in it."""
        self._engine = engine
        self._head = f"{engine} | ".encode()
        self._writer = writer
        self.dropped = 0

    def send(self, lines: Sequence[bytes]) -> None:
        """Copy these."""
        for line in lines:
            if not self._writer.put(self._engine, self._head + line + b"\n", self._lost):
                self._lost()

    def _lost(self) -> None:
        self.dropped += 1

    def close(self) -> None:
        """Nothing is to be let go of: the output is the daemon's."""
