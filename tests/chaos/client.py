"""A client of one engine: it asks again and again, and notes what became of each request."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable

import attrs

OK = "ok"
EVERY_S = 0.2
TIMEOUT_S = 5.0


@attrs.frozen
class Outcome:
    """What became of one request; times are of the monotonic clock."""

    began: float
    ended: float
    what: str


class Client(threading.Thread):
    """Sends small completions, one after another; does not ask while it is told to be quiet."""

    def __init__(self, port: int, model: str) -> None:
        super().__init__(daemon=True)
        self._port, self._model = port, model
        self.every_s = EVERY_S
        self.outcomes: list[Outcome] = []
        self.quiet = threading.Event()
        self._done = threading.Event()
        self._idle = threading.Event()

    def run(self) -> None:
        while not self._done.wait(self.every_s):
            if self.quiet.is_set():
                self._idle.set()
                continue
            self._idle.clear()
            self.outcomes.append(self.ask(2))

    def hush(self) -> None:
        """Ask no more, and wait until what was asked has been answered."""
        self.quiet.set()
        self._idle.wait(TIMEOUT_S + 1)

    def speak(self) -> None:
        """Ask again."""
        self.quiet.clear()

    def close(self) -> None:
        self._done.set()
        self.join(TIMEOUT_S + 1)

    def ask(self, tokens: int, timeout_s: float = TIMEOUT_S) -> Outcome:
        """Ask once."""
        began = time.monotonic()
        what = self._become(tokens, timeout_s)
        return Outcome(began, time.monotonic(), what)

    def _become(self, tokens: int, timeout_s: float) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
        try:
            body = {"model": self._model, "prompt": "a", "max_tokens": tokens}
            head = {"content-type": "application/json"}
            connection.request("POST", "/v1/completions", json.dumps(body), head)
            answer = connection.getresponse()
            answer.read()
            return OK if answer.status == 200 else f"HTTP {answer.status}"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timed out"
        except (OSError, http.client.HTTPException):
            return "cut"
        finally:
            connection.close()

    def since(self, at: float) -> list[Outcome]:
        """Return what became of requests that ended after `at`."""
        return [each for each in list(self.outcomes) if each.ended >= at]

    def first_ok(self, at: float) -> float | None:
        """Return when the first request that began after `at` was answered well."""
        return next((e.ended for e in self.since(at) if e.began >= at and e.what == OK), None)


def failed(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Count what was not answered well, by reason."""
    return Counter(each.what for each in outcomes if each.what != OK)
