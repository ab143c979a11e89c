"""What both receivers do with a request: counted, ranked, noted, queued to be passed on."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterable

import attrs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineStateChanged
from vllmd.events.reading_back import by_name, read_back
from vllmd.traces import decode, wire
from vllmd.traces.aggregate import Aggregate
from vllmd.traces.decode import Received
from vllmd.traces.forward.queue import ForwardQueue
from vllmd.traces.loop_steps import LoopScheduler, ScheduledRequest, in_thread
from vllmd.traces.refusal import CameBackError, RefusedError
from vllmd.traces.slowest import Slowest
from vllmd.traces.spans import ResourceSpans, StartSpan
from vllmd.traces.unpack import (
    MAX_BODY_BYTES,
    MAX_JSON_BYTES,
    STEP_BYTES,
    BudgetShare,
    MemoryBudget,
    gunzip,
)
from vllmd.util.clock import Clock
from vllmd.util.units import KIB

STEP_SPANS = 512
"""Spans after which others get their turn: some 5 ms."""
SPAN_BYTES = KIB
"""What a span takes in memory while its request is read."""
LARGE_SPANS = 2048

MAX_TRAIL = 16
"""A request that was passed on more often goes round in some other way."""

WRONG_IDS = "spans whose trace id or span id has a wrong length, or is all zero, were left out"

_READ = by_name(EngineStateChanged)


@attrs.define
class IntakeCounts:
    """What came in, and what became of it."""

    requests: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """By protocol and outcome."""
    refused: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """Requests that were not taken, by protocol and reason."""
    others: int = 0
    """Spans that are neither of a request nor of a start of one of our engines."""
    rejected: int = 0
    """Spans whose ids are none."""
    starts: int = 0
    """Spans of starts."""

    def refuse(self, protocol: str, error: RefusedError) -> None:
        """Count a request that is not taken."""
        outcome = "busy" if error.reason == "busy" else "refused"
        self.requests[protocol, outcome] += 1
        self.refused[protocol, error.reason] += 1


@attrs.define
class IntakeState:
    """What was received; no reload touches it."""

    aggregate: Aggregate = attrs.field(factory=Aggregate)
    slowest: Slowest = attrs.field(factory=Slowest)
    queue: ForwardQueue = attrs.field(factory=ForwardQueue)
    counts: IntakeCounts = attrs.field(factory=IntakeCounts)
    instance: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    """Which vllmd this is, among those that pass spans on to each other."""
    starts: dict[str, dict[str, float]] = attrs.field(factory=dict)
    """Seconds that each part of the last start took, by engine and name of the span."""

    def put(self, event: Event) -> None:
        """Forget the parts of an engine's last start when another one begins."""
        match read_back(_READ, event):
            case EngineStateChanged(state="starting"):
                self.starts.pop(event.engine or "", None)


Models = Callable[[str, Iterable[str]], Awaitable[frozenset[str]]]
"""Returns the models that an engine serves, asked again if one of the given names is not known."""
Started = Callable[[str, StartSpan], None]
"""Told of each part of an engine's start that has ended."""


@attrs.frozen
class Body:
    """A body as it came: in protobuf or JSON, and perhaps in gzip."""

    data: bytes | bytearray
    packed: bool = False
    json: bool = False


class Intake:
    """Takes requests; never waits for whoever they are passed on to."""

    def __init__(
        self,
        engines: Iterable[str],
        state: IntakeState,
        models: Models,
        started: Started,
        clock: Clock,
    ) -> None:
        self.engines = frozenset(engines)
        self._state = state
        self._models = models
        self._started = started
        self._clock = clock
        self.room = MemoryBudget()
        self._scheduler = LoopScheduler()
        self.begun = asyncio.Event()
        """Set while a window of slowest requests is under way."""

    def read_trail(self, header: str) -> tuple[str, ...]:
        """Return who passed a request on. Raises: CameBackError: this daemon did, or too many."""
        trail = tuple(name for name in header.split(",") if name)
        if self._state.instance in trail or len(trail) > MAX_TRAIL:
            raise CameBackError
        return trail

    @property
    def counts(self) -> IntakeCounts:
        """What came in so far."""
        return self._state.counts

    async def take(
        self, body: Body, share: BudgetShare, via: tuple[str, ...] = ()
    ) -> ExportTraceServiceResponse:
        """Take one request; nothing of it counts unless all of it can be read.

        `share` is what it holds of the room, `via` who passed it on.

        Returns: the answer; it says how many spans were rejected, and nothing if none was.
        Raises: RefusedError: it is not taken.
        """
        share.arrived()
        async with ScheduledRequest(self._scheduler) as place:
            received = await self._read(body, share, place)
            for group in received.groups:
                await self._take_group(group, place)
        if self._state.queue.wanted:
            self._state.queue.put(received.body(), received.spans, via)
        answer = ExportTraceServiceResponse()
        if received.rejected:
            self.counts.rejected += received.rejected
            answer.partial_success.rejected_spans = received.rejected
            answer.partial_success.error_message = WRONG_IDS
        return answer

    async def _read(self, body: Body, share: BudgetShare, place: ScheduledRequest) -> Received:
        data = body.data
        if body.packed:
            limit = MAX_JSON_BYTES if body.json else MAX_BODY_BYTES
            data = await place.run(gunzip(data, share, limit), large=True)
        elif len(data) > STEP_BYTES:
            await place.be_large()
        if body.json:
            return await self._read_json(data, place)
        found = await place.run(wire.outline(data))
        share.take(SPAN_BYTES * found.spans)
        if found.spans > LARGE_SPANS:
            await place.be_large()
        return await place.run(decode.read_protobuf(data, found, self.engines))

    async def _read_json(self, data: bytes | bytearray, place: ScheduledRequest) -> Received:
        """Read JSON; in a thread if it takes long: it is Python that does it, and can be held."""
        if decode.count_json(data) <= decode.QUICK_JSON_OBJECTS and len(data) <= STEP_BYTES:
            return decode.read_json(data, self.engines)
        await place.be_large()
        return await in_thread(lambda: decode.read_json(data, self.engines))

    async def _take_group(self, group: ResourceSpans, place: ScheduledRequest) -> None:
        self.counts.others += group.others
        if group.engine is None:
            return
        known: frozenset[str] = frozenset()
        if group.requests:
            claimed = {span.claimed for span in group.requests if span.claimed is not None}
            known = await self._models(group.engine, claimed)
        await place.run(self._count(group.engine, group, known))

    def _count(
        self, engine: str, group: ResourceSpans, known: frozenset[str]
    ) -> Generator[None, None, None]:
        for number, start in enumerate(group.starts, 1):
            self.counts.starts += 1
            took = max(0.0, start.ended_at - start.started_at)
            self._state.starts.setdefault(engine, {})[start.name] = took
            self._started(engine, start)
            if number % STEP_SPANS == 0:
                yield
        aggregate, slowest, now = self._state.aggregate, self._state.slowest, self._clock.time()
        for number, span in enumerate(group.requests, 1):
            counted = aggregate.add(engine, span, known)
            if counted is not None:
                slowest.add(counted, now)
            if number % STEP_SPANS == 0:
                yield
        if slowest.begun:
            self.begun.set()
