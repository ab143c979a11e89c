"""Lines copied to journald, each with its priority, engine and process as fields."""

from vllmd.eventlog.journald import PRIORITIES, SOCKET, JournalSender, encode
from vllmd.logs.lines import parse_line
from vllmd.logs.reader import Position

MAX_BYTES = 32 * 1024
"""A longer line is cut: a datagram has its limits, and the file has all of it."""


class Journal:
    """Copies the lines of one engine. What the journal does not take at once is counted."""

    def __init__(self, engine: str, path: str = SOCKET) -> None:
        self._engine = engine
        self._sender = JournalSender(path)
        self.dropped = 0

    def send(self, block: bytes, _begin: Position) -> None:
        """Copy the lines of a block."""
        for line in block.splitlines():
            if not self._sender.send(entry(self._engine, line)):
                self.dropped += 1

    def close(self) -> None:
        """Let go of the socket."""
        self._sender.close()


def entry(engine: str, line: bytes) -> bytes:
    """Return a line as journald takes it."""
    text = line[:MAX_BYTES].decode(errors="replace")
    parsed = parse_line(text)
    return encode(
        {
            "MESSAGE": text,
            "PRIORITY": PRIORITIES.get(parsed.level, PRIORITIES["info"]),
            "SYSLOG_IDENTIFIER": "vllm",
            "VLLMD_ENGINE": engine,
            "VLLM_PROCESS": parsed.process,
            "VLLM_PID": parsed.pid,
        }
    )
