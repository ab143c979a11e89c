"""Tries again while a local engine restarts, as its readiness says, and no longer."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs
import httpx

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 8.0
READY_TIMEOUT_S = 2.0


@attrs.frozen
class Refusal:
    """A failure after which the same request may succeed; `headers` are the answer's, if any."""

    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def retry_after_s(self) -> float | None:
        """When to come again, in seconds; None if the answer does not say."""
        try:
            return max(0.0, float(self.headers["retry-after"]))
        except (KeyError, ValueError):
            return None


@attrs.frozen
class RetryPolicy:
    """How long a request may wait for an engine in all, and where its readiness is asked for."""

    wait_s: float = 60.0
    ready_url: str | None = None
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic

    def call(
        self, ask: Callable[[], T], failure: type[E], refusal: Callable[[E], Refusal | None]
    ) -> T:
        """Ask until there is an answer, or a failure that `refusal` does not take for passing.

        Raises: whatever `ask` raised last.
        """
        deadline, pause_s = self.now() + self.wait_s, FIRST_PAUSE_S
        while True:
            try:
                return ask()
            except failure as error:
                refused = refusal(error)
                if refused is None or self.now() >= deadline:
                    raise
                wanted_s = refused.retry_after_s
            self._pause(pause_s if wanted_s is None else wanted_s, deadline)
            self._wait_ready(deadline)
            pause_s = min(LAST_PAUSE_S, pause_s * 2)

    def _wait_ready(self, deadline: float) -> None:
        """Wait while the engine says that it is not ready; one that says nothing is not asked."""
        while self.ready_url is not None and self.now() < deadline:
            try:
                answer = httpx.get(self.ready_url, timeout=READY_TIMEOUT_S, trust_env=False)
            except httpx.HTTPError:
                return
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return
            left_s = Refusal(answer.headers).retry_after_s
            # a load may be quicker than the last one was
            self._pause(min(1.0, FIRST_PAUSE_S if left_s is None else left_s), deadline)

    def _pause(self, seconds: float, deadline: float) -> None:
        self.sleep(max(0.0, min(seconds, deadline - self.now())))
