"""A request that takes long, in flight while a test does something to its engine."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx

from tests.helpers.site import Site, wait_for


class Flight:
    """One request to the engine `chat`, in the background; nobody may ever answer it."""

    def __init__(self, made: Site, *, tokens: int = 4000, seen: bool = True) -> None:
        """Send it; with `seen`, wait until the daemon knows that it is in flight."""
        self.status: int | None = None
        """What came back; 0 for no answer."""
        self.ended_at = 0.0
        self._made = made
        self._tokens = tokens
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        if seen:
            wait_for("a request in flight", lambda: made.engine("chat")["busy"])

    def _ask(self) -> None:
        message = {"role": "user", "content": "x"}
        body: dict[str, Any] = {"model": "tiny", "messages": [message], "max_tokens": self._tokens}
        url = f"{self._made.api}/v1/chat/completions"
        try:
            self.status = httpx.post(url, json=body, timeout=60, trust_env=False).status_code
        except httpx.HTTPError:
            self.status = 0
        self.ended_at = time.monotonic()

    def join(self) -> None:
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.join()


@contextmanager
def asked_twice(made: Site) -> Iterator[None]:
    """Send two requests, so that the core has reported one as running before it computes on."""
    with Flight(made, seen=False):
        time.sleep(0.3)
        with Flight(made, seen=False):
            yield
