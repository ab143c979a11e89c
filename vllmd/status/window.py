"""An engine's load of the last minute and the points of ten, from its pages. Pure.

Bounded: 16 pages' counters and one ring of points, with vLLM's buckets 9.4 KB of arrays, 20 KB in
all.
"""

from collections import deque
from collections.abc import Mapping

import attrs

from vllmd.scrape.histogram import CumulativeHistogram
from vllmd.status.load import Load
from vllmd.status.ring import STEP_S, Ring, rounded

LATENCY_S = 60.0
RATE_S = 15.0
PAGES = 16
"""A minute of them, and some that came early."""
FRESH_S = 3 * STEP_S
"""So old a page says what is true now; where pages are read more rarely, three of their periods."""
GAP_S = 2 * RATE_S
"""After so long without a page, or `fresh_s` if that is more, what was before says nothing."""
SERIES = ("running", "waiting", "tokens_per_s", "ttft_p95_s", "itl_p95_s", "kv_cache_usage")
P95 = 0.95


@attrs.frozen
class LoadNow:
    """What is true now; None where it is not known, or where nothing happened in the window."""

    tokens_per_s: float | None = None
    """Tokens that were generated, over the last 15 seconds."""
    prompt_tokens_per_s: float | None = None
    ttft_p95_s: float | None = None
    """Over the last minute, as `itl_p95_s`."""
    itl_p95_s: float | None = None
    kv_cache_usage: float | None = None


@attrs.frozen
class _Page:
    at: float
    load: Load


class LoadWindow:
    """Of one engine. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._pages: deque[_Page] = deque(maxlen=PAGES)
        self._ring = Ring(SERIES)

    @property
    def size_bytes(self) -> int:
        """What its arrays take."""
        histograms = (h for page in self._pages for h in (page.load.ttft, page.load.itl) if h)
        return self._ring.size_bytes + sum(8 * len(h.counts) for h in histograms)

    def is_due(self, at: float) -> bool:
        """Tell whether a page that was read then is wanted: the others are not looked into."""
        return not self._pages or at < self._pages[-1].at or self._ring.is_due(at)

    def add(self, at: float, load: Load, fresh_s: float = FRESH_S) -> None:
        """Take a page that was read at a time; counters that fell are of another process.

        After a gap the window begins anew: an average over the gap is not of the last minute.
        """
        if self._pages:
            gap = at - self._pages[-1].at > max(GAP_S, fresh_s)
            if gap or _began_anew(self._pages[-1].load, load):
                self._pages.clear()
        before = self._pages[-1] if self._pages else None
        self._pages.append(_shared(_Page(at, load), before))
        rate = None if before is None else _rate(before, self._pages[-1], "generated_tokens")
        self._ring.add(
            at,
            (
                load.running,
                load.waiting,
                rate,
                self._p95("ttft"),
                self._p95("itl"),
                load.kv_cache_usage,
            ),
        )

    def now(self, at: float, fresh_s: float = FRESH_S) -> LoadNow:
        """Return what is true at a time; all None if the last page is older than `fresh_s`."""
        if not self.is_fresh(at, fresh_s):
            return LoadNow()
        last, first = self._pages[-1], self._before(RATE_S)
        found = LoadNow(
            tokens_per_s=_rate(first, last, "generated_tokens"),
            prompt_tokens_per_s=_rate(first, last, "prompt_tokens"),
            ttft_p95_s=self._p95("ttft"),
            itl_p95_s=self._p95("itl"),
            kv_cache_usage=last.load.kv_cache_usage,
        )
        figures = attrs.asdict(found)
        return LoadNow(**{n: None if v is None else rounded(v) for n, v in figures.items()})

    def is_fresh(self, at: float, fresh_s: float = FRESH_S) -> bool:
        """Tell whether the last page is no older than `fresh_s`."""
        return bool(self._pages) and at - self._pages[-1].at <= fresh_s

    def to_json(self, now: float, to_wall_s: float) -> Mapping[str, list[float | None]]:
        """Return the points of the last ten minutes; see `Ring.to_json`."""
        return self._ring.to_json(now, to_wall_s)

    def _before(self, seconds: float) -> _Page:
        """Return the newest page that is so much older than the last, or the oldest there is."""
        at = self._pages[-1].at - seconds
        return next((page for page in reversed(self._pages) if page.at <= at), self._pages[0])

    def _p95(self, name: str) -> float | None:
        """Return the 95th percentile of what was added in the last minute, in seconds."""
        first, last = (getattr(p.load, name) for p in (self._before(LATENCY_S), self._pages[-1]))
        if first is None or last is None:
            return None
        added = last.since(first)
        return added.quantile(P95) if added is not None else None


def _began_anew(before: Load, after: Load) -> bool:
    """Tell whether any counter fell."""
    pairs = [
        (before.prompt_tokens, after.prompt_tokens),
        (before.generated_tokens, after.generated_tokens),
    ]
    fell = any(a is not None and b is not None and b < a for a, b in pairs)
    histograms = ((before.ttft, after.ttft), (before.itl, after.itl))
    return fell or any(a and b and b.since(a) is None for a, b in histograms)


def _shared(page: _Page, before: _Page | None) -> _Page:
    """Return a page with the bounds of the one before, where they are the same: kept once."""
    if before is None:
        return page
    old, new = before.load, page.load
    return _Page(
        page.at, attrs.evolve(new, ttft=_with(old.ttft, new.ttft), itl=_with(old.itl, new.itl))
    )


def _with(
    old: CumulativeHistogram | None, new: CumulativeHistogram | None
) -> CumulativeHistogram | None:
    if old is None or new is None or old.bounds != new.bounds:
        return new
    return CumulativeHistogram(old.bounds, new.counts)


def _rate(first: _Page, last: _Page, name: str) -> float | None:
    """Return how much a counter grew a second; None with one page only."""
    before, after = getattr(first.load, name), getattr(last.load, name)
    if before is None or after is None or last.at <= first.at:
        return None
    return float(after - before) / (last.at - first.at)
