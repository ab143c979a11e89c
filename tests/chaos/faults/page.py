"""What the engine's page answers, and who has its port."""

import http.client
import socket
import threading
from typing import ClassVar

from tests.chaos.faults.base import Fault
from tests.chaos.lab import Lab


class PageFault(Fault):
    """The page answers as it should not; seen by another client that asks it."""

    of = "page"
    states = frozenset({"ready", "draining", "sleeping"})
    holds_s = 2.0
    how: ClassVar[str]

    def do(self, lab: Lab) -> None:
        lab.say("page", self.how)

    def seen(self, lab: Lab) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=1.0)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            body = answer.read()
        except TimeoutError:
            return "no answer to GET /metrics within 1 s"
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()
        if answer.status != 200:
            return f"GET /metrics: {answer.status}"
        return "" if body.startswith(b"#") else f"GET /metrics: {body[:6]!r}"

    def undo(self, lab: Lab) -> None:
        lab.unsay("page")


def page_fault(name: str, how: str) -> type[PageFault]:
    return type(name, (PageFault,), {"name": name, "how": how})


class PortTaken(Fault):
    """Somebody else listens on the engine's port; seen by who answers there."""

    name = "its port is taken by another program for 3 s"
    states = frozenset({"starting", "backoff", "held"})
    holds_s = 3.0
    WORD = b"somebody else"

    def do(self, lab: Lab) -> None:
        self.socket = socket.create_server(("127.0.0.1", lab.port))
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.sendall(self.WORD)

    def seen(self, lab: Lab) -> str:
        try:
            with socket.create_connection(("127.0.0.1", lab.port), 1) as client:
                word = client.recv(64)
        except OSError:
            return ""
        return "another program answers at its port" if word == self.WORD else ""

    def undo(self, lab: Lab) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


FAULTS = (
    page_fault("its page answers after 2 s", "slow"),
    page_fault("its page answers 500", "500"),
    page_fault("its page is garbage", "garbage"),
    page_fault("its page does not answer for 2 s", "hang"),
    PortTaken,
)
