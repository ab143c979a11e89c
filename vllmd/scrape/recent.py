"""An engine's pages of the last minutes, small enough to be kept in memory all the time."""

import operator
import zlib
from collections import deque
from datetime import UTC, datetime

from vllmd.scrape.families import Family
from vllmd.scrape.page import Page
from vllmd.util.units import MINUTE_S

KEPT_S = 10 * MINUTE_S
MAX_PAGES = 150
BUCKET = b"_bucket{"


class RecentPages:
    """Samples without the buckets of histograms, compressed: under 2 KB a page (measured)."""

    def __init__(self) -> None:
        self._last: tuple[Family, ...] = ()
        self._packed = zlib.compress(b"", 1)
        """What the families of the last page are kept as: often the next page has the same."""
        self._pages: deque[tuple[float, bytes]] = deque(maxlen=MAX_PAGES)

    def add(self, page: Page, at: float) -> None:
        """Keep a page that was read at `at`, in seconds since the epoch."""
        families = page.families
        if len(families) != len(self._last) or any(map(operator.is_not, families, self._last)):
            lines = (s for family in families for s in family.samples if BUCKET not in s)
            self._last, self._packed = families, zlib.compress(b"\n".join(lines), 1)
        self._pages.append((at, self._packed))
        while self._pages and self._pages[0][0] < at - KEPT_S:
            self._pages.popleft()

    def dump(self) -> bytes:
        """Return the pages as text, the oldest first, each below its time."""
        parts = []
        for at, packed in self._pages:
            stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            parts.append(b"# %s\n%s\n" % (stamp.encode(), zlib.decompress(packed)))
        return b"\n".join(parts)
