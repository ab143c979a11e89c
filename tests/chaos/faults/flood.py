"""Clients that mean no good; seen by what the kernel and their own sockets know."""

import gzip
import http.client
import os
import socket
import threading
from pathlib import Path

from tests.chaos.faults.base import Fault
from tests.chaos.faults.daemon import port_of
from tests.chaos.lab import Lab


class Connections(Fault):
    """As many idle connections as a flood has; seen by how many of them the daemon has taken."""

    name = "400 idle connections to the exporter for 2 s"
    holds_s = 2.0
    blinds = True
    NUMBER = 160

    def prepare(self, lab: Lab) -> None:
        self.fds = Path(f"/proc/{lab.site.daemon.pid}/fd")
        self.before = len(os.listdir(self.fds))
        self.open: list[socket.socket] = []

    def do(self, lab: Lab) -> None:
        for _ in range(self.NUMBER):
            made = socket.create_connection(("127.0.0.1", port_of(lab)), 5)
            made.setblocking(False)
            self.open.append(made)

    def seen(self, lab: Lab) -> str:
        more = len(os.listdir(self.fds)) - self.before
        return f"/proc/…/fd: {more} more" if more > 50 else ""

    def undo(self, lab: Lab) -> None:
        for each in self.open:
            each.close()


class Spans(Fault):
    """Bodies that unpack to much, at the receiver of spans; seen by what was answered to them."""

    name = "a flood of bodies at the receiver of spans"
    blinds = True
    NUMBER = 40
    BODY = gzip.compress(b"\x0a\x00" * 4_000_000, 1)

    def prepare(self, lab: Lab) -> None:
        self.answers: list[int] = []

    def do(self, lab: Lab) -> None:
        self.threads = [threading.Thread(target=self._post, args=(lab.otlp,)) for _ in range(8)]
        for each in self.threads:
            each.start()

    def _post(self, port: int) -> None:
        head = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
        for _ in range(self.NUMBER // 8):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request("POST", "/v1/traces", self.BODY, head)
                self.answers.append(connection.getresponse().status)
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()

    def seen(self, lab: Lab) -> str:
        if len(self.answers) < 4:
            return ""
        return f"{len(self.answers)} answers, codes {sorted(set(self.answers))}"

    def undo(self, lab: Lab) -> None:
        for each in getattr(self, "threads", ()):
            each.join()


FAULTS: tuple[type[Fault], ...] = (Connections, Spans)
