"""systemd's two protocols for services: notifications out, listening sockets in.

Source: sd_notify(3), sd_listen_fds(3).
"""

import os
import socket
from collections.abc import MutableMapping

from vllmd.util.terminal_text import one_line

FIRST_FD = 3


class Notifier:
    """Sends to the service manager, or does nothing where there is none."""

    def __init__(self, env: MutableMapping[str, str] = os.environ) -> None:
        """Take the manager's variables out of `env`: no child may speak for the daemon."""
        self._path = env.pop("NOTIFY_SOCKET", None)
        watchdog_us = env.pop("WATCHDOG_USEC", "")
        env.pop("WATCHDOG_PID", None)
        self.watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdigit() else None
        """How long the manager waits for a sign of life, in seconds; None if it does not."""
        self._status = ""
        self._sender: socket.socket | None = None

    def send(self, *lines: str) -> None:
        """Send such as ``READY=1``; a manager that does not listen is no reason to fail."""
        if not self._path:
            return
        address = f"\0{self._path[1:]}" if self._path.startswith("@") else self._path
        try:
            if self._sender is None:  # it is kept: signs of life go on when no descriptor is left
                kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
                self._sender = socket.socket(socket.AF_UNIX, kind)
            self._sender.sendto("\n".join(lines).encode(errors="replace"), address)
        except OSError:
            return

    def reloading(self, monotonic_s: float) -> None:
        """Say that a reload begins; ``READY=1`` ends it. Source: sd_notify(3)."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={monotonic_s * 1e6:.0f}")

    def status(self, text: str) -> None:
        """Show `text` in `systemctl status`, if it is new; in one line: a second is a command."""
        text = one_line(text)
        if text != self._status:
            self._status = text
            self.send(f"STATUS={text}")


def take_sockets(env: MutableMapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Take over the listening sockets that the manager holds for this process.

    Returns: sockets by their `FileDescriptorName`; empty if they are not for us.
    """
    pid, count = env.pop("LISTEN_PID", ""), env.pop("LISTEN_FDS", "")
    names = env.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    sockets = {}
    for index in range(int(count)):
        os.set_inheritable(FIRST_FD + index, False)
        name = names[index] if index < len(names) else str(index)
        sockets[name] = socket.socket(fileno=FIRST_FD + index)
    return sockets
