"""Batches sent one after another, with patience, and never in anybody's way."""

import asyncio
from collections.abc import Callable

import structlog

from vllmd.events.base import emit
from vllmd.events.traces import ForwardFailed, ForwardRecovered
from vllmd.traces.forward.answer import ExportOutcome, ExportResponse
from vllmd.traces.forward.queue import Batch, ForwardQueue
from vllmd.traces.forward.senders import SpanSender
from vllmd.util.clock import Clock

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
PATIENCE_S = 300.0
"""After so long a batch is given up. Source: the Collector's own `max_elapsed_time`."""
JITTER = 0.5

_log = structlog.get_logger()


class Forwarder:
    """Sends what is in a queue to one address."""

    def __init__(
        self, queue: ForwardQueue, sender: SpanSender, clock: Clock, chance: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._chance = chance
        self.problem: str | None = None
        """Why the last attempt failed; None if it did not."""

    async def run(self) -> None:
        """Send until it is cancelled; what was not sent is in the queue again then."""
        queue = self._queue
        queue.changed = asyncio.Event()  # the one before belonged to another event loop
        while True:
            queue.changed.clear()
            batch = queue.take()
            if batch is None:
                await queue.changed.wait()
                continue
            try:
                await self._deliver(batch)
            except asyncio.CancelledError:
                queue.give_back(batch)
                raise

    async def flush(self, timeout_s: float) -> None:
        """Send what waits, each batch once, for at most so long; what is left stays."""
        batch: Batch | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while batch := self._queue.take():
                    answer = await self._sender.send(batch)
                    if answer.verdict is ExportOutcome.RETRY:
                        self._queue.outcomes["dropped"] += batch.spans
                    else:
                        self._settle(batch, answer)
        except TimeoutError:
            if batch is not None:
                self._queue.give_back(batch)

    async def close(self) -> None:
        """Let go of connections."""
        await self._sender.close()

    async def _deliver(self, batch: Batch) -> None:
        began, pause_s = self._clock.monotonic(), FIRST_PAUSE_S
        while True:
            answer = await self._sender.send(batch)
            if answer.verdict is not ExportOutcome.RETRY:
                self._settle(batch, answer)
                return
            self._fail(answer.problem, "spans wait, and are dropped when their queue is full")
            wait_s = pause_s * (1 - JITTER * self._chance())
            wait_s = max(wait_s, answer.wait_s or 0.0)
            if self._clock.monotonic() + wait_s - began > PATIENCE_S:
                self._queue.outcomes["expired"] += batch.spans
                return
            await self._clock.sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _settle(self, batch: Batch, answer: ExportResponse) -> None:
        outcomes = self._queue.outcomes
        if answer.verdict is ExportOutcome.REFUSED:
            outcomes["refused"] += batch.spans
            self._fail(answer.problem, "they are lost")
            return
        rejected = min(batch.spans, max(0, answer.rejected))
        outcomes["refused"] += rejected
        outcomes["sent"] += batch.spans - rejected
        if self.problem is not None:
            emit(_log, ForwardRecovered(problem=self.problem))
            self.problem = None

    def _fail(self, problem: str, consequence: str) -> None:
        if problem != self.problem:
            emit(_log, ForwardFailed(problem=problem, consequence=consequence))
        self.problem = problem
