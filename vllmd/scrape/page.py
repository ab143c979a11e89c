"""One engine's page: fetched once however many ask, and never older than it looks."""

import asyncio
import contextlib
import errno
import json
import os
import re
from collections.abc import Callable, Sequence

import attrs
import httpx

from vllmd.errors import ScrapeError
from vllmd.scrape.derived import Renamed, derive
from vllmd.scrape.families import Family
from vllmd.scrape.page_parser import PageParser
from vllmd.scrape.peak import Peaks
from vllmd.util.clock import Clock
from vllmd.util.loop_lag import LoopLag
from vllmd.util.units import KIB, MIB, MINUTE_S

FETCH_TIMEOUT_S = 5.0
"""Of watched time: an engine that answers in time is not charged for our own lateness."""
FETCH_AT_MOST_S = 60.0
MAX_PAGE_BYTES = 32 * MIB
MAX_VERSION_BYTES = 4 * KIB
VERSION_AGAIN_S = MINUTE_S
"""An engine that did not say its version is asked again after so long."""
MAKES_NO_SENSE = (ValueError, KeyError, TypeError, RecursionError)
"""What an answer that is no JSON, or other JSON, raises."""
_VERSION = re.compile(r"[\w.+-]{1,64}")
MAX_AGE_S = 1.0
_AS_IT_IS = {"Accept-Encoding": "identity"}


OURS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.EPERM,
        errno.EACCES,
    }
)
"""A connection that could not be made for these says nothing of who would have answered; nor does
a name that is not resolved, whose numbers are negative."""


@attrs.frozen
class Page:
    """One reading; `read_at` is monotonic, in seconds, and the moment it was asked for."""

    families: tuple[Family, ...]
    rejected_lines: int
    size_bytes: int
    read_at: float
    duration_s: float
    watched_from: float = 0.0
    watched_until: float = 0.0
    """When it was asked for, and when all of it was there, in watched seconds."""
    lora: bytes | None = None
    """What vLLM last said of its adapters, as labels."""


class PageSource:
    """Where an engine's page comes from; one fetch at a time serves everybody who waits."""

    def __init__(
        self,
        engine: str,
        url: str,
        client: httpx.AsyncClient,
        clock: Clock,
        on_page: Callable[[str, Page], None] = lambda _engine, _page: None,
        adapters: Callable[[], Sequence[str]] = tuple,
        lag: LoopLag | None = None,
    ) -> None:
        """Make a source; `on_page` hears of each page, `adapters` returns those wanted."""
        self.lag = lag or LoopLag(clock)
        self._adapters = adapters
        self.engine = engine
        self._client = client
        self.point(url)
        self._clock = clock
        self._on_page = on_page
        self._peaks = Peaks()
        self._parser = PageParser(engine)
        self._renamed: Renamed = {}
        self._fetching: asyncio.Task[Page] | None = None
        self.last: Page | None = None
        self.failures = 0
        self.up = False
        self.readable: bool | None = None
        """Whether it was read when it was asked for last; None if it was not yet."""
        self.passes_histograms = True
        """Whether vLLM's own histograms are passed on too."""
        self.version: str | None = None
        """The version of vLLM that answers; None until it has said so."""
        self._version_asked_at: float | None = None

    def point(self, url: str) -> None:
        """Read the engine there from now on."""
        self._url = f"{url}/metrics"
        self._page_request = self._request(self._url)
        self._version_request = self._request(f"{url}/version")

    async def get(self, *, max_age_s: float = MAX_AGE_S, timeout_s: float | None = None) -> Page:
        """Return the page as it was at most `max_age_s` ago.

        Without `timeout_s` it takes as long as an engine may take to answer.

        Raises: ScrapeError: it could not be read in time; the caller shows no families then.
        """
        if self.up and self.last and self._clock.monotonic() - self.last.read_at <= max_age_s:
            return self.last
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._fetching)
        except TimeoutError:
            raise ScrapeError(f"{self._url} did not answer within {timeout_s:g} s") from None

    def shown(self, page: Page) -> list[Family]:
        """Return what to pass on of a page, and what is derived from it."""
        derived = derive(page.families, page.lora, self.engine, self._adapters(), self._renamed)
        passed = page.families
        if not self.passes_histograms:
            passed = tuple(family for family in passed if family.type != b"histogram")
        return [*passed, *derived, self._peaks.family()]

    async def _fetch(self) -> Page:
        started, watched_from = self._clock.monotonic(), self.lag.watched()
        reading = asyncio.ensure_future(self._read())
        try:
            in_time = await self.lag.wait(reading, FETCH_TIMEOUT_S, at_most_s=FETCH_AT_MOST_S)
            if not in_time:
                raise TimeoutError(f"no answer within {FETCH_TIMEOUT_S:g} s")
            watched_until, content = self.lag.watched(), reading.result()
            parsed = self._parser.parse(content)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            self.up = self.readable = False
            self.failures += 1
            numbers = _error_numbers(error)
            watched_s = self.lag.watched() - watched_from
            late = isinstance(error, TimeoutError) and watched_s < 0.9 * FETCH_TIMEOUT_S
            own = [os.strerror(n) for n in numbers if n in OURS]
            why = "vllmd was late itself" if late else ", ".join(own) or repr(error)
            raise ScrapeError(
                f"{self._url}: {why}",
                refused=errno.ECONNREFUSED in numbers,
                ours=late or bool(own) or any(n < 0 for n in numbers),
            ) from None
        finally:
            reading.cancel()
        self.last = Page(
            families=parsed.families,
            rejected_lines=parsed.rejected_lines,
            size_bytes=len(content),
            read_at=started,
            duration_s=self._clock.monotonic() - started,
            watched_from=watched_from,
            watched_until=watched_until,
            lora=parsed.lora,
        )
        self.up = self.readable = True
        self._peaks.note(parsed.families)
        self._on_page(self.engine, self.last)
        return self.last

    async def _read(self) -> bytes:
        return await self._content(self._page_request, MAX_PAGE_BYTES)

    def _request(self, url: str) -> httpx.Request:
        """Make a request to send again and again.

        It wants no gzip: it is of this host, and the engine has better to do.
        """
        return self._client.build_request("GET", url, headers=_AS_IT_IS, timeout=None)

    async def _content(self, request: httpx.Request, max_bytes: int) -> bytes:
        content = bytearray()
        response = await self._client.send(request, stream=True)
        try:
            response.raise_for_status()
            async for block in response.aiter_bytes():
                content += block
                if len(content) > max_bytes:
                    raise ValueError(f"page is larger than {max_bytes} bytes")
        finally:
            await response.aclose()
        return bytes(content)

    async def ask_version(self) -> None:
        """Ask which vLLM answers, once its page was read; once it has said so, never again.

        Source: vllm/entrypoints/serve/instrumentator, `GET /version`, which needs no key.
        """
        now, asked_at = self._clock.monotonic(), self._version_asked_at
        if not self.up or self.version is not None:
            return
        if asked_at is not None and now - asked_at < VERSION_AGAIN_S:
            return
        self._version_asked_at = now
        with contextlib.suppress(httpx.HTTPError, TimeoutError, *MAKES_NO_SENSE):
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                content = await self._content(self._version_request, MAX_VERSION_BYTES)
                answer = json.loads(content)
            if found := _VERSION.fullmatch(str(answer["version"])):
                self.version = found[0]

    def age_s(self) -> float | None:
        """Return how old the last good reading is, in seconds; None if there was none."""
        return self._clock.monotonic() - self.last.read_at if self.last else None

    def forget(self) -> None:
        """Drop what was read: another process answers from now on."""
        self.last = None
        self.up = False
        self.readable = self.version = self._version_asked_at = None
        self._peaks.forget()


def _retrieve(task: asyncio.Task[Page]) -> None:
    """Mark the error as seen: whoever waited may have given up before."""
    if not task.cancelled():
        task.exception()


def _error_numbers(error: BaseException) -> frozenset[int]:
    """Return the system's error numbers of an error and of what caused it."""
    found: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        if isinstance(each, OSError) and each.errno is not None:
            found.add(each.errno)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        waiting.append(each.__cause__ or each.__context__)
    return frozenset(found)
