"""What waits to be passed on: bounded in bytes, the oldest dropped and counted."""

import asyncio
from collections import Counter, deque

import attrs

from vllmd.util.units import MIB

MAX_BATCH_BYTES = 3 * MIB
"""Receivers take 4 MiB over gRPC by default."""
MAX_BATCH_SPANS = 8192
"""Another vllmd takes twice as many."""


@attrs.frozen
class Batch:
    """Requests joined into one: they are messages with one repeated field, so bytes add up.

    `body` is an ExportTraceServiceRequest in protobuf.
    Source: Protocol Buffers, "Encoding": to concatenate messages is to merge them.
    """

    body: bytes
    spans: int
    via: tuple[str, ...] = ()
    """Which vllmds passed it on before this one, in order."""


class ForwardQueue:
    """Requests in protobuf, as they came. No reload touches it."""

    def __init__(self) -> None:
        self.wanted = False
        self.max_bytes = 64 * MIB
        self.bytes = 0
        self.outcomes: Counter[str] = Counter()
        """Spans by what became of them."""
        self.changed = asyncio.Event()
        self._waiting: deque[Batch] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, body: bytes, spans: int, via: tuple[str, ...] = ()) -> None:
        """Add a request; where there is no room, the oldest give way, and count as dropped.

        `body` is an ExportTraceServiceRequest in protobuf, `via` as in `Batch`. Does nothing while
        nobody wants it.
        """
        if not self.wanted or not spans:
            return
        self._waiting.append(Batch(body, spans, via))
        self.bytes += len(body)
        while self.bytes > self.max_bytes:
            self.outcomes["dropped"] += self._pop().spans
        self.changed.set()

    def take(self) -> Batch | None:
        """Take as many requests as fit into one batch, the oldest first; None if there is none.

        Those that came another way are another batch: one that goes round is refused whole.
        """
        if not self._waiting:
            return None
        first = self._pop()
        bodies, size, spans = [first.body], len(first.body), first.spans
        while self._waiting:
            following = self._waiting[0]
            if (
                following.via != first.via
                or size + len(following.body) > MAX_BATCH_BYTES
                or spans + following.spans > MAX_BATCH_SPANS
            ):
                break
            each = self._pop()
            bodies.append(each.body)
            size += len(each.body)
            spans += each.spans
        return Batch(b"".join(bodies), spans, first.via)

    def give_back(self, batch: Batch) -> None:
        """Put a batch back that was not sent, as the oldest."""
        self._waiting.appendleft(batch)
        self.bytes += len(batch.body)
        self.changed.set()

    def clear(self) -> None:
        """Drop everything: nobody wants it any more."""
        while self._waiting:
            self.outcomes["dropped"] += self._pop().spans

    def _pop(self) -> Batch:
        batch = self._waiting.popleft()
        self.bytes -= len(batch.body)
        return batch
