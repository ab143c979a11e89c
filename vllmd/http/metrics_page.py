"""The one page: vllmd's own families and those of every engine, in the format asked for."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import attrs
import structlog
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector as Registry

from vllmd.errors import ScrapeError
from vllmd.events.base import emit
from vllmd.events.requests import PassThroughFailed
from vllmd.http.exposition import EOF, FamilyEncoder
from vllmd.scrape.families import merge
from vllmd.scrape.page import MAX_AGE_S, Page, PageSource
from vllmd.scrape.render import Renderer, render_openmetrics, render_text
from vllmd.util.parts import PartRunner

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
DEFAULT_DEADLINE_S = 4.0
DEADLINES_S = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, DEFAULT_DEADLINE_S)
"""So that scrapes with other timeouts of theirs still wait together."""
PART = "metrics_page"
PIECE_S = 0.005
"""How long the event loop is kept while a page is written."""
DEADLINE_SHARE = 0.6
"""Share of the scrape's own timeout that the engines get; the rest is for sending."""

_log = structlog.get_logger()


Pages = Mapping[PageSource, Page]


@attrs.define(eq=False)
class _Batch:
    """The scrapes that one look at the engines is for."""

    began_at: float
    task: asyncio.Task[bytes] | None = None
    pages: Pages = attrs.field(factory=dict)
    written: asyncio.Task[bytes] | None = None


class MetricsPage:
    """Renders the page; `sources` returns the engines whose page can be asked for now.

    However many scrapers ask, one page is written at a time, for all who wait for its format.
    Others get their turn in between: a thread would not be faster, and would read what changes.
    """

    def __init__(
        self,
        registry: Registry,
        sources: Callable[[], Sequence[PageSource]],
        mask: Callable[[bytes], bytes] = bytes,
        isolated: Callable[[str], AbstractContextManager[None]] | None = None,
    ) -> None:
        """Make a page; `mask` takes the secrets out of the labels of its lines.

        What cannot be written is told and counted by `isolated`, and costs itself and not the page.
        """
        self._isolated = isolated or PartRunner().isolated
        self._registry = registry
        self._mask = mask
        self._sources = sources
        self._batches: dict[tuple[bool, float], _Batch] = {}
        self._ready: dict[bool, list[_Batch]] = {True: [], False: []}
        self._turn = asyncio.Lock()
        self._encoders = {kind: FamilyEncoder(openmetrics=kind) for kind in (True, False)}
        self._renderers = {True: Renderer(render_openmetrics), False: Renderer(render_text)}

    async def render(self, accept: str, scrape_timeout: str) -> tuple[bytes, str]:
        """Return the page and its content type.

        An engine that cannot be read in time is absent; vllmd's own families are always there.
        """
        openmetrics = accepts_openmetrics(accept)
        batch = self._join(openmetrics, parse_deadline(scrape_timeout))
        assert batch.task is not None
        body = await asyncio.shield(batch.task)
        return body, OPENMETRICS if openmetrics else CONTENT_TYPE_PLAIN_0_0_4

    def _join(self, openmetrics: bool, deadline_s: float) -> _Batch:
        """Return the batch of a scrape: one that waits, and whose pages will be young enough."""
        deadline_s = max([d for d in DEADLINES_S if d <= deadline_s], default=min(DEADLINES_S))
        kind = openmetrics, deadline_s
        now = asyncio.get_running_loop().time()
        batch = self._batches.get(kind)
        if batch is None or now - batch.began_at > MAX_AGE_S:
            batch = self._batches[kind] = _Batch(now)
            batch.task = asyncio.create_task(self._serve(batch, *kind))
            batch.task.add_done_callback(_retrieve)
        return batch

    async def _serve(self, batch: _Batch, openmetrics: bool, deadline_s: float) -> bytes:
        try:
            batch.pages = await self._read_all(deadline_s)
            self._ready[openmetrics].append(batch)
            async with self._turn:
                if batch.written is None:
                    await self._write_for_all(openmetrics)
            assert batch.written is not None
            return await batch.written
        finally:
            self._leave(batch)

    async def _write_for_all(self, openmetrics: bool) -> None:
        """Write a page for all who have looked at the engines, with the newest that they saw."""
        batches, self._ready[openmetrics] = self._ready[openmetrics], []
        pages: dict[PageSource, Page] = {}
        for source in self._sources():
            found = [batch.pages[source] for batch in batches if source in batch.pages]
            if found:
                pages[source] = max(found, key=lambda page: page.read_at)
        writing = asyncio.create_task(self._write(openmetrics, pages))
        for batch in batches:
            batch.written = writing
            self._leave(batch)  # who comes from now on waits for the next
        await asyncio.wait({writing})

    def _leave(self, batch: _Batch) -> None:
        for kind in [kind for kind, each in self._batches.items() if each is batch]:
            del self._batches[kind]

    async def _write(self, openmetrics: bool, pages: Pages) -> bytes:
        loop_yield = _LoopYield()
        shown = []
        for source, page in pages.items():
            with self._isolated(PART):
                shown.append(source.shown(page))
            await loop_yield.yield_if_due()
        encode = self._encoders[openmetrics].encode
        parts: list[bytes] = []
        for metric in list(self._registry.collect()):
            with self._isolated(PART):
                parts.append(self._mask(encode(metric)))
            await loop_yield.yield_if_due()
        with self._isolated(PART):
            for written in self._renderers[openmetrics].render(merge(shown)):
                parts.append(self._mask(written))
                await loop_yield.yield_if_due()
        return b"".join([*parts, EOF if openmetrics else b""])

    async def _read_all(self, deadline_s: float) -> Pages:
        sources = self._sources()
        pages = await asyncio.gather(*(self._read(s, deadline_s) for s in sources))
        return {s: page for s, page in zip(sources, pages, strict=True) if page is not None}

    @staticmethod
    async def _read(source: PageSource, deadline_s: float) -> Page | None:
        try:
            return await source.get(timeout_s=deadline_s)
        except ScrapeError as error:
            emit(_log, PassThroughFailed(reason=str(error)), engine=source.engine)
            return None


class _LoopYield:
    """Who else has something to do in the event loop."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._turn_at = self._now()

    async def yield_if_due(self) -> None:
        """Let them, once so much time has gone by."""
        if self._now() - self._turn_at >= PIECE_S:
            await asyncio.sleep(0)
            self._turn_at = self._now()


def _retrieve(task: asyncio.Task[bytes]) -> None:
    """Mark an error as seen: whoever waited may have gone."""
    if not task.cancelled():
        task.exception()


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
