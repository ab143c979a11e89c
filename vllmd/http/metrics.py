"""The one page: vllmd's own families and those of every engine, in the format asked for."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector as Registry

from vllmd import events
from vllmd.errors import ScrapeError
from vllmd.scrape.families import Family, merge
from vllmd.scrape.page import PageSource
from vllmd.scrape.render import render_openmetrics, render_text

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_EOF = b"# EOF\n"
DEFAULT_DEADLINE_S = 4.0
DEADLINE_SHARE = 0.6
"""Share of the scrape's own timeout that the engines get; the rest is for sending."""

_log = structlog.get_logger()


class MetricsPage:
    """Renders the page; `sources` returns the engines whose page can be asked for now."""

    def __init__(self, registry: Registry, sources: Callable[[], Sequence[PageSource]]) -> None:
        self._registry = registry
        self._sources = sources

    async def render(self, accept: str, scrape_timeout: str) -> tuple[bytes, str]:
        """Return the page and its content type.

        An engine that cannot be read in time is absent; vllmd's own families are always there.
        """
        families = await self._families(parse_deadline(scrape_timeout))
        if accepts_openmetrics(accept):
            own: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]
            return own.removesuffix(_EOF) + render_openmetrics(families) + _EOF, OPENMETRICS
        return generate_latest(self._registry) + render_text(families), CONTENT_TYPE_PLAIN_0_0_4

    async def _families(self, deadline_s: float) -> list[Family]:
        sources = self._sources()
        pages = await asyncio.gather(*(self._read(s, deadline_s) for s in sources))
        return merge(pages)

    @staticmethod
    async def _read(source: PageSource, deadline_s: float) -> Sequence[Family]:
        try:
            return await source.families(deadline_s)
        except ScrapeError as error:
            _log.debug(events.PASS_THROUGH_FAILED, engine=source.engine, reason=str(error))
            return ()


def accepts_openmetrics(accept: str) -> bool:
    """Tell whether a scraper understands OpenMetrics 1.0."""
    return any(
        part.strip().split(";")[0].strip() == "application/openmetrics-text"
        for part in accept.split(",")
    )


def parse_deadline(scrape_timeout: str) -> float:
    """Return how long the engines may take, in seconds, by Prometheus's own header."""
    try:
        timeout_s = float(scrape_timeout)
    except ValueError:
        return DEFAULT_DEADLINE_S
    if not 0 < timeout_s < float("inf"):
        return DEFAULT_DEADLINE_S
    return min(DEFAULT_DEADLINE_S, timeout_s * DEADLINE_SHARE)
