"""The slowest requests of a window, ranked apart by what a user feels. Pure."""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from vllmd.events.base import to_fields
from vllmd.events.traces import RequestSlow
from vllmd.traces.aggregate import CountedRequest

RANKS = ("time_to_first_token", "time_per_output_token", "queue", "e2e")


_Entry = tuple[float, int, CountedRequest]


@attrs.frozen
class Window:
    """The slowest of one stretch of time; `requests` is how many there were in all."""

    started_at: float
    ended_at: float | None
    requests: int
    slowest: dict[str, list[CountedRequest]]

    def to_json(self) -> dict[str, Any]:
        """Return the window as the control socket tells it."""
        return {
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "requests": self.requests,
            "slowest": {
                rank: [describe(request) for request in requests]
                for rank, requests in self.slowest.items()
            },
        }

    def distinct(self) -> Iterator[tuple[CountedRequest, list[str]]]:
        """Yield each request once, with the ranks that it is in."""
        found: dict[int, tuple[CountedRequest, list[str]]] = {}
        for rank, requests in self.slowest.items():
            for request in requests:
                found.setdefault(id(request), (request, []))[1].append(rank)
        yield from found.values()


class Slowest:
    """The window under way and the one before it."""

    def __init__(self) -> None:
        self.keep = 10
        self._order = itertools.count()
        self._heaps: dict[str, list[_Entry]] = {rank: [] for rank in RANKS}
        self._requests = 0
        self._started_at: float | None = None
        self.last: Window | None = None

    @property
    def begun(self) -> bool:
        """Whether a window is under way."""
        return self._started_at is not None

    def add(self, request: CountedRequest, now: float) -> None:
        """Rank one request; the first one begins a window. `now` in seconds since the epoch."""
        if self._started_at is None:
            self._started_at = now
        self._requests += 1
        for rank, heap in self._heaps.items():
            value = getattr(request, rank)
            if value is None:
                continue
            if len(heap) < self.keep:
                heapq.heappush(heap, (value, next(self._order), request))
            elif heap and value > heap[0][0]:
                heapq.heapreplace(heap, (value, next(self._order), request))

    def current(self) -> Window | None:
        """Return the window under way so far."""
        return self._window(None) if self._started_at is not None else None

    def end(self, now: float) -> Window | None:
        """End the window under way; the next request begins another one."""
        if self._started_at is None:
            return None
        self.last = self._window(now)
        self._started_at = None
        self._requests = 0
        self._heaps = {rank: [] for rank in RANKS}
        return self.last

    def _window(self, ended_at: float | None) -> Window:
        assert self._started_at is not None
        slowest = {
            rank: [request for _, _, request in sorted(heap, key=lambda e: -e[0])]
            for rank, heap in self._heaps.items()
        }
        return Window(self._started_at, ended_at, self._requests, slowest)


def describe(request: CountedRequest) -> dict[str, Any]:
    """Return all that is known of a request; latencies in seconds."""
    fields = to_fields(as_event(request, ()))
    del fields["ranks"]
    return {"engine": request.engine, **fields}


def as_event(request: CountedRequest, ranks: Iterable[str]) -> RequestSlow:
    """Return the event that a request was among the slowest in these ranks."""
    span = request.span
    return RequestSlow(
        ranks=tuple(ranks),
        adapter=request.adapter,
        request_id=span.request_id,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        arrived_at=span.start_ns / 1e9,
        time_to_first_token=request.time_to_first_token,
        time_per_output_token=request.time_per_output_token,
        queue=request.queue,
        prefill=span.prefill,
        decode=span.decode,
        e2e=request.e2e,
        prompt_tokens=span.prompt_tokens,
        completion_tokens=span.completion_tokens,
    )
