"""The highest value of a window of time, so that no scrape misses a peak between two. Pure.

A window that is fixed, and not "since the last scrape": with two Prometheus servers each would take
half of the peaks from the other. Every server that scrapes at least once a window sees every peak.
"""

from collections import deque


class Peak:
    """The highest of the values that were added in the last `window_s` seconds."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._falling: deque[tuple[float, float]] = deque()
        """Times and values; each is higher than all after it, so the first is the highest."""

    def add(self, at: float, value: float) -> None:
        """Take a value at a monotonic time."""
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((at, value))
        self._forget(at)

    def highest(self, now: float) -> float | None:
        """Return the highest; None if the window is empty."""
        self._forget(now)
        return self._falling[0][1] if self._falling else None

    def _forget(self, now: float) -> None:
        while self._falling and self._falling[0][0] < now - self._window_s:
            self._falling.popleft()
