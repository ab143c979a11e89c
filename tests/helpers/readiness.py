"""What a load balancer and Prometheus see, asked every 10 ms."""

import functools
import http.client
import time
from collections import Counter
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.helpers.background import Background

EVERY_S = 0.01


class Watched(Background):
    """Asks for some paths of the exporter while a block runs, each on a connection of its own."""

    def __init__(self, exporter: str, paths: Sequence[str]) -> None:
        self._address = urlsplit(exporter)
        self.answers: dict[str, Counter[int | str]] = {path: Counter() for path in paths}
        super().__init__([functools.partial(self._ask, path) for path in paths])

    def _ask(self, path: str) -> None:
        self.answers[path][self._answer(path)] += 1
        time.sleep(EVERY_S)

    def _answer(self, path: str) -> int | str:
        host, port = self._address.hostname, self._address.port
        connection = http.client.HTTPConnection(host or "", port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    @property
    def wrong(self) -> dict[str, dict[int | str, int]]:
        """What was answered besides 200, by path."""
        return {
            path: {what: n for what, n in counts.items() if what != 200}
            for path, counts in self.answers.items()
            if set(counts) != {200}
        }
