"""Whether each finished request was seen as a span: two counts, compared over a window. Pure."""

from collections import deque

import attrs

from vllmd.util.units import MINUTE_S

WINDOW_S = 5 * MINUTE_S
SETTLE_S = 10.0
"""A span may come so much later than vLLM's own count: a batch waits a second, a page five."""
ONE_START_S = 60.0
MAX_POINTS = 1024


@attrs.frozen
class _Point:
    at: float
    finished: float
    spans: int


class Coverage:
    """Of one engine: the share of its finished sequences whose span came."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque(maxlen=MAX_POINTS)
        self._begun_at: float | None = None

    def begin(self, now: float, spans: int) -> None:
        """Note that an engine has just started: nothing has finished, and so many spans came.

        With several API servers each tells of the start; the first counts.
        """
        if self._begun_at is not None and now - self._begun_at < ONE_START_S:
            return
        self._begun_at = now
        self._points.clear()
        self._points.append(_Point(now, 0.0, spans))

    def note(self, now: float, finished: float, spans: int) -> None:
        """Note both counts, read at one moment (monotonic seconds).

        `finished` is `vllm:request_success_total`, all reasons; it falls when the engine restarts.
        """
        points = self._points
        if points and finished < points[-1].finished:
            points.clear()
        points.append(_Point(now, finished, spans))
        while len(points) > 2 and points[1].at <= now - WINDOW_S - SETTLE_S:
            points.popleft()

    def ratio(self, spans: int) -> float | None:
        """Return spans over finished sequences, now that so many `spans` came.

        Only sequences that finished long enough ago are expected, but spans of later ones count:
        it never says less than the truth, and is exact once nothing finished for `SETTLE_S`.
        None if nothing is expected.
        """
        if not self._points:
            return None
        begin, newest = self._points[0], self._points[-1]
        settled = [p for p in self._points if p.at <= newest.at - SETTLE_S]
        expected = settled[-1].finished - begin.finished if settled else 0.0
        return min(1.0, (spans - begin.spans) / expected) if expected > 0 else None
