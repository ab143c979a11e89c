"""A client that counts what failed."""

import http.client
import socket
import threading
import time

from .tools import API, EXPORTER, OTLP, OTLP_GRPC, get

SPAN = {
    "traceId": "5b8efff798038103d269b633813fc60c",
    "spanId": "eee19b7ec3c1b174",
    "name": "of somebody else",
}
EXPORT = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}

FAILURES = (OSError, http.client.HTTPException)
"""A connection that is cut in the middle of an answer is no OSError."""


class Load:
    """Requests to the engine, scrapes of the exporter, spans: one after the other, counted."""

    def __init__(self) -> None:
        self.requests = self.scrapes = self.spans = 0
        self.cut: list[str] = []  # scrapes that a killed daemon had already accepted
        self.failed: list[str] = []
        self._done = threading.Event()
        work = (self._ask, self._ask, self._scrape, self._export)
        self._threads = [threading.Thread(target=each) for each in work]

    def _ask(self) -> None:
        body = {"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
        while not self._done.is_set():
            try:
                get(f"{API}/v1/chat/completions", body)
                self.requests += 1
            except FAILURES as error:
                self.failed.append(f"request: {error!r}")

    def _scrape(self) -> None:
        while not self._done.wait(0.1):
            try:
                get(f"{EXPORTER}/metrics")
                get(f"{EXPORTER}/-/healthy")
                self.scrapes += 1
            except FAILURES as error:
                (self.failed if "refused" in repr(error) else self.cut).append(f"scrape: {error!r}")

    def _export(self) -> None:
        while not self._done.wait(0.1):
            try:
                get(f"{OTLP}/v1/traces", EXPORT)
                socket.create_connection(OTLP_GRPC, 30).close()
                self.spans += 1
            except FAILURES as error:
                (self.failed if "refused" in repr(error) else self.cut).append(f"span: {error!r}")

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(0.5)
        self._done.set()
        for thread in self._threads:
            thread.join()
