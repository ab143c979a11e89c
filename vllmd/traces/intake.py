"""What both receivers do with a request: counted, ranked, noted, queued to be passed on."""

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from vllmd import events
from vllmd.clock import Clock
from vllmd.feed import Event
from vllmd.traces.aggregate import Aggregate
from vllmd.traces.forward.queue import ForwardQueue
from vllmd.traces.slowest import Slowest
from vllmd.traces.spans import Group, RequestSpan, StartSpan, drop_invalid, read_groups
from vllmd.traces.unpack import Room

YIELD_EVERY = 1024
"""Spans after which others get their turn: some 10 ms."""

MAX_TRAIL = 16
"""A request that was passed on more often goes round in some other way."""

WRONG_IDS = "spans whose trace id or span id has a wrong length, or is all zero, were left out"


@attrs.define
class Counts:
    """What came in, and what became of it."""

    requests: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """By protocol and outcome."""
    others: int = 0
    """Spans that are neither of a request nor of a start of one of our engines."""
    rejected: int = 0
    """Spans whose ids are none."""
    starts: int = 0
    """Spans of starts."""


@attrs.define
class Kept:
    """What was received; it outlives a daemon that begins anew inside its process."""

    aggregate: Aggregate = attrs.field(factory=Aggregate)
    slowest: Slowest = attrs.field(factory=Slowest)
    queue: ForwardQueue = attrs.field(factory=ForwardQueue)
    counts: Counts = attrs.field(factory=Counts)
    instance: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    """Which vllmd this is, among those that pass spans on to each other."""
    starts: dict[str, dict[str, float]] = attrs.field(factory=dict)
    """Seconds that each part of the last start took, by engine and name of the span."""

    def put(self, event: Event) -> None:
        """Forget the parts of an engine's last start when another one begins."""
        if event.name == events.STATE_CHANGED and event.fields["state"] == "starting":
            self.starts.pop(event.engine or "", None)


Models = Callable[[str, Iterable[str]], Awaitable[frozenset[str]]]
"""Returns the models that an engine serves, asked again if one of the given names is not known."""
Started = Callable[[str, StartSpan], None]
"""Told of each part of an engine's start that has ended."""


class CameBackError(Exception):
    """A request was passed on by this daemon itself."""

    def __init__(self) -> None:
        super().__init__("these spans were passed on by this vllmd: mend traces.forward.endpoint")


class Intake:
    """Takes requests that were decoded; never waits for whoever they are passed on to."""

    def __init__(
        self, engines: Iterable[str], kept: Kept, models: Models, started: Started, clock: Clock
    ) -> None:
        self._engines = frozenset(engines)
        self._kept = kept
        self._models = models
        self._started = started
        self._clock = clock
        self.room = Room()
        self.begun = asyncio.Event()
        """Set while a window of slowest requests is under way."""

    def read_trail(self, header: str) -> tuple[str, ...]:
        """Return who passed a request on. Raises: CameBackError: this daemon did, or too many."""
        trail = tuple(name for name in header.split(",") if name)
        if self._kept.instance in trail or len(trail) > MAX_TRAIL:
            raise CameBackError
        return trail

    @property
    def counts(self) -> Counts:
        """What came in so far."""
        return self._kept.counts

    async def take(
        self, request: ExportTraceServiceRequest, raw: bytes | None, via: tuple[str, ...] = ()
    ) -> ExportTraceServiceResponse:
        """Take one request; `raw` is its protobuf as it came, None if it came as JSON.

        `via` is who passed it on.

        Returns: the answer; it says how many spans were rejected, and nothing if none was.
        """
        rejected = drop_invalid(request)
        spans = 0
        for group in read_groups(request, self._engines):
            spans += len(group.requests) + len(group.starts) + group.others
            await self._take_group(group)
        if self._kept.queue.wanted:
            intact = raw is not None and not rejected
            body = raw if intact and raw else request.SerializeToString()
            self._kept.queue.put(body, spans, via)
        answer = ExportTraceServiceResponse()
        if rejected:
            self.counts.rejected += rejected
            answer.partial_success.rejected_spans = rejected
            answer.partial_success.error_message = WRONG_IDS
        return answer

    async def _take_group(self, group: Group) -> None:
        self.counts.others += group.others
        if group.engine is None:
            return
        for start in group.starts:
            self.counts.starts += 1
            took = max(0.0, start.ended_at - start.started_at)
            self._kept.starts.setdefault(group.engine, {})[start.name] = took
            self._started(group.engine, start)
        if not group.requests:
            return
        claimed = {span.claimed for span in group.requests if span.claimed is not None}
        known = await self._models(group.engine, claimed)
        spans = iter(group.requests)
        while batch := list(itertools.islice(spans, YIELD_EVERY)):
            self._take_requests(group.engine, batch, known)
            await asyncio.sleep(0)

    def _take_requests(self, engine: str, spans: list[RequestSpan], known: frozenset[str]) -> None:
        aggregate, slowest, now = self._kept.aggregate, self._kept.slowest, self._clock.time()
        for span in spans:
            counted = aggregate.add(engine, span, known)
            if counted is not None:
                slowest.add(counted, now)
        if slowest.begun:
            self.begun.set()
