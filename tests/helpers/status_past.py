"""What engines of a scene did in the last ten minutes, as their pages would have told it."""

import math
from array import array
from collections.abc import Sequence

import attrs

from vllmd.scrape.histogram import CumulativeHistogram
from vllmd.status.load import Load
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.ring import KEPT_S, STEP_S

STEADY_S = 120.0
"""So long the load has been the same."""
SLOW = (360.0, 240.0)
"""So many seconds ago first tokens were late for a while, if more than one request ran."""
SLOW_S = 2.5


@attrs.frozen
class Past:
    """How an engine was used; all times are seconds ago."""

    tokens_per_s: float
    """In the last two minutes, if it did not stand still."""
    seconds: float = KEPT_S - STEP_S
    """Since when its page is read."""
    still_s: float = 0.0
    """So long it has made no token, with requests in flight."""
    gaps: Sequence[tuple[float, float]] = ()
    """From when to when its page was not read."""
    requests: int = 7
    """How many run at most; without any, it has nothing to do."""
    waiting: int = 2
    """How many wait then."""
    kv_cache: float = 0.43
    """How full it is then."""
    turn: float = 0.0
    """Where its ups and downs begin."""

    def share(self, ago_s: float) -> float:
        """Return how much it had to do, 1 as in the last minutes."""
        if not self.requests or ago_s < self.still_s:
            return 0.0
        if ago_s <= STEADY_S + self.still_s:
            return 1.0
        slow, fast = (math.sin(ago_s / period + self.turn) for period in (71, 11))
        return 0.62 + 0.3 * slow + 0.08 * fast

    def is_read(self, ago_s: float) -> bool:
        """Tell whether its page was read then."""
        return ago_s <= self.seconds and not any(end <= ago_s <= start for start, end in self.gaps)


def live(past: Past, series: SeriesRecorder, name: str, page: Load, now: float) -> None:
    """Let an engine have lived so: a request a second at most, of the latency of a page."""
    assert page.ttft is not None
    assert page.itl is not None
    window, done, slow = series.window(name), 0.0, 0.0
    for step in range(int(KEPT_S / STEP_S), -1, -1):
        ago_s = STEP_S * step
        share = past.share(ago_s)
        done += STEP_S * share
        if past.requests > 1 and SLOW[1] <= ago_s <= SLOW[0]:
            slow += STEP_S * share
        if not past.is_read(ago_s):
            continue
        busy = 1.0 if ago_s < past.still_s else share
        shown = attrs.evolve(
            page,
            running=float(round(past.requests * busy)),
            waiting=float(round(past.waiting * max(0.0, 4 * busy - 3))),
            kv_cache_usage=past.kv_cache * busy,
            generated_tokens=past.tokens_per_s * done,
            prompt_tokens=4 * past.tokens_per_s * done,
            ttft=times(page.ttft, done, slow),
            itl=times(page.itl, done),
        )
        window.add(now - ago_s, shown)


def times(histogram: CumulativeHistogram, factor: float, slow: float = 0.0) -> CumulativeHistogram:
    """Return a histogram of so many times as much, and so many slow ones more."""
    pairs = zip(histogram.bounds, histogram.counts, strict=True)
    counts = (n * factor + (slow if le >= SLOW_S else 0.0) for le, n in pairs)
    return CumulativeHistogram(histogram.bounds, array("d", counts))
