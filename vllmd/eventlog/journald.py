"""journald's native protocol: a message with fields, in one datagram.

Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

import contextlib
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

SOCKET = "/run/systemd/journal/socket"
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog's numbers of the levels."""

TIMEOUT_S = 1.0
"""How long a journal that is full, or restarts, may keep the sender waiting."""

MAX_BYTES = 128 * 1024
"""A longer datagram may not fit into the socket's buffer; journald wants it in a file then."""


class JournalSender:
    """The sending end; `send` says whether the journal took it."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(TIMEOUT_S)

    def send(self, datagram: bytes) -> bool:
        """Send; False if the journal is not there, or does not take it in time."""
        try:
            self._socket.sendto(datagram, self._path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()


def encode(fields: Mapping[str, Any]) -> bytes:
    """Return fields as journald takes them; those without a value are left out."""
    return b"".join(
        _field(name, str(value).encode(errors="replace"))
        for name, value in with_value(fields).items()
    )


def with_value(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], ())}


def is_journal(descriptor: int, env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether what is written there goes to the journal. Source: systemd.exec(5)."""
    device, _, inode = env.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
