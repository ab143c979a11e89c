"""Notices sent to a webhook: in order, with patience, and never in anybody's way."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog

from vllmd.eventlog.bus import Event
from vllmd.events.base import emit
from vllmd.events.daemon import NotificationFailed
from vllmd.notify.bodies import FORMATS
from vllmd.notify.notices import Notice, Notices
from vllmd.util.clock import Clock

QUEUE = 100
TRIES = 8
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

_RETRIED = frozenset({408, 425, 429})

_log = structlog.get_logger()


class Outbox:
    """What is to be sent; no reload touches it. Without a webhook, nothing is."""

    def __init__(self) -> None:
        self.notices = Notices()
        self.waiting: deque[Notice] = deque()
        self.outcomes: Counter[str] = Counter()
        """Notices that were sent, failed for good, or dropped because too many waited."""
        self.wanted = False
        self.changed = asyncio.Event()

    def put(self, event: Event) -> None:
        """Take one event; the oldest notice gives way where too many wait."""
        notice = self.notices.take(event)
        if notice is None or not self.wanted:
            return
        if len(self.waiting) >= QUEUE:
            self.waiting.popleft()
            self.outcomes["dropped"] += 1
        self.waiting.append(notice)
        self.changed.set()


class Webhook:
    """Sends what is in an outbox to one address."""

    def __init__(
        self,
        outbox: Outbox,
        url: str,
        format: str,
        clock: Clock,
        *,
        timeout_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Make a sender; `format` is one of `bodies.FORMATS`."""
        self._outbox = outbox
        self._url = url
        self._body: Callable[[Notice], Any] = FORMATS[format]
        self._clock = clock
        self._timeout_s = timeout_s
        self._transport = transport

    async def run(self) -> None:
        """Send until it is cancelled."""
        outbox = self._outbox
        async with httpx.AsyncClient(timeout=self._timeout_s, transport=self._transport) as client:
            while True:
                outbox.changed.clear()
                if not outbox.waiting:
                    await outbox.changed.wait()
                    continue
                notice = outbox.waiting[0]
                outcome = "sent" if await self._deliver(client, notice) else "failed"
                outbox.outcomes[outcome] += 1
                if outbox.waiting and outbox.waiting[0] is notice:
                    outbox.waiting.popleft()

    async def _deliver(self, client: httpx.AsyncClient, notice: Notice) -> bool:
        pause_s, problem = FIRST_PAUSE_S, ""
        for attempt in range(TRIES):
            if attempt:
                await self._clock.sleep(min(pause_s, LONGEST_PAUSE_S))
                pause_s *= 2
            try:
                response = await client.post(self._url, json=self._body(notice))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = type(error).__name__
                continue
            if response.is_success:
                return True
            problem = f"HTTP {response.status_code}"
            if response.status_code < 500 and response.status_code not in _RETRIED:
                break
            pause_s = max(pause_s, _retry_after(response))
        # neither the address nor the answer: both may hold secrets
        emit(
            _log,
            NotificationFailed(
                host=urlsplit(self._url).hostname, problem=problem, notice=notice.summary
            ),
        )
        return False


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds that the server asks for; a date is not read. Source: RFC 9110."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else 0.0
