"""A shim's server, and the poll loop that a shim would run for it."""

import json
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vllmd.shim.internal_errors import InternalErrors
from vllmd.shim.server import (
    ShimServer,
)


class Loop:
    """A server and the poll loop that a shim would run for it."""

    def __init__(self, path: Path) -> None:
        self.poll = select.poll()
        self.mistakes = InternalErrors()
        self.answer: Callable[[dict[str, Any]], dict[str, Any]] = lambda request: {
            "echo": request.get("op")
        }
        self.server = ShimServer(str(path), self.poll, self._ask, self.mistakes)
        self.path = path

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.answer(request)

    def turn(self) -> None:
        while ready := self.poll.poll(0):
            for fd, events in ready:
                self.server.handle(fd, events)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(2)
        client.connect(str(self.path))
        self.turn()
        return client


def lines(client: socket.socket) -> list[dict[str, Any]]:
    """Return what has been answered."""
    client.setblocking(False)
    got = b""
    try:
        while block := client.recv(1 << 20):
            got += block
    except BlockingIOError:
        pass
    return [json.loads(line) for line in got.splitlines()]
