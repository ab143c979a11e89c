"""Lines copied to journald, each with its priority, engine and process as fields.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

import contextlib
import socket
import struct
from collections.abc import Sequence

from vllmd.logs.lines import parse_line

SOCKET = "/run/systemd/journal/socket"
MAX_BYTES = 32 * 1024
"""A longer line is cut: a datagram has its limits, and the file has all of it."""
_PRIORITIES = {"debug": 7, "info": 6, "none": 6, "warning": 4, "error": 3, "critical": 2}


class Journal:
    """Copies the lines of one engine. What the journal does not take at once is counted."""

    def __init__(self, engine: str, path: str = SOCKET) -> None:
        self._engine = engine
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(1.0)
        self.dropped = 0

    def send(self, lines: Sequence[bytes]) -> None:
        """Copy these."""
        for line in lines:
            try:
                self._socket.sendto(entry(self._engine, line), self._path)
            except OSError:  # it restarts, or it is full
                self.dropped += 1

    def close(self) -> None:
        """Let go of the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


def entry(engine: str, line: bytes) -> bytes:
    """Return a line as journald takes it."""
    text = line[:MAX_BYTES].decode(errors="replace")
    parsed = parse_line(text)
    fields = {
        "MESSAGE": text,
        "PRIORITY": str(_PRIORITIES[parsed.level]),
        "SYSLOG_IDENTIFIER": "vllm",
        "VLLMD_ENGINE": engine,
        "VLLM_PROCESS": parsed.process or "",
        "VLLM_PID": str(parsed.pid or ""),
    }
    return b"".join(_field(name, value.encode()) for name, value in fields.items() if value)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
