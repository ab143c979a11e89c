"""Bodies within bounds: room that is shared fairly, and gzip that is unpacked piece by piece.

A small gzip may hold gigabytes, or thousands of members.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Generator

from vllmd.traces.refusal import BusyError, NotGzipError, TooLargeError
from vllmd.util.units import KIB, MIB

MAX_BODY_BYTES = 16 * MIB
"""Of one request, unpacked: 50 times the largest batch of a stock vLLM (512 spans, 325 kB)."""

MAX_JSON_BYTES = 4 * MIB
"""JSON takes ten times its size in memory while it is read."""

ROOM_BYTES = 4 * MAX_BODY_BYTES
BODY_TIMEOUT_S = 30.0
BODY_START_S = 5.0
MIN_BYTES_PER_S = 16 * KIB
"""A body has five seconds, and one more for each of these that came."""
MAX_MEMBERS = 64
"""Of one gzip: exporters send one; a proxy that joins chunks sends a few."""
_READ_BYTES = 64 * KIB
"""What zlib is given at once: what it leaves over is copied."""
STEP_BYTES = 512 * KIB
"""Packed and unpacked, in one step."""
_GZIP = 31
"""`wbits` of zlib for a gzip member. Source: zlib manual."""


def allowed_s(count: int) -> float:
    """Return in how many seconds so many bytes of a body must have come, from its head on."""
    return min(BODY_TIMEOUT_S, BODY_START_S + count / MIN_BYTES_PER_S)


class MemoryBudget:
    """The bytes of bodies that are being worked on, all receivers together.

    When it is full, a body that is still arriving gives way to a smaller one: first of the peer
    that holds most, there the largest. So nobody can hold the room of others by sending slowly.
    """

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self._free = size
        self._arriving: dict[BudgetShare, None] = {}

    def take(self, count: int) -> None:
        """Reserve so many bytes.

        Raises: BusyError: they are not to be had now.
        """
        if count > self._free:
            raise BusyError
        self._free -= count

    def give(self, count: int) -> None:
        """Give reserved bytes back."""
        self._free += count

    def enter(self, share: "BudgetShare") -> None:
        """Let a body arrive."""
        self._arriving[share] = None

    def leave(self, share: "BudgetShare") -> None:
        """Note that a body arrived, or will not."""
        self._arriving.pop(share, None)

    def make_way(self, count: int, asking: "BudgetShare") -> None:
        """Free so many bytes for a body, at the cost of larger ones that are still arriving."""
        if count <= self._free:
            return
        of_peer: Counter[str] = Counter()
        for share in self._arriving:
            of_peer[share.peer] += share.held
        wanted = (of_peer[asking.peer] + count, asking.held + count)
        while count > self._free and self._arriving:
            largest = max(self._arriving, key=lambda share: (of_peer[share.peer], share.held))
            size = (of_peer[largest.peer], largest.held)
            others = largest.peer != asking.peer
            if largest is asking or not (size > wanted if others else largest.held > wanted[1]):
                return
            of_peer[largest.peer] -= largest.held
            largest.give_way()


class BudgetShare:
    """What one request holds of the room; as a context it gives all of it back.

    `gave_way` is called when the room is taken from it for others.
    """

    def __init__(
        self, room: MemoryBudget, peer: str = "", gave_way: Callable[[], None] = lambda: None
    ) -> None:
        self.peer = peer
        self.held = 0
        self.lost = False
        """Whether it had to give way."""
        self.gave_way = gave_way
        self._room = room

    def __enter__(self) -> "BudgetShare":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> "BudgetShare":
        """Begin; `close` is to follow."""
        self._room.enter(self)
        return self

    def take(self, count: int) -> None:
        """Reserve more. Raises: BusyError."""
        if self.lost:
            raise BusyError
        self._room.make_way(count, self)
        self._room.take(count)
        self.held += count

    def arrived(self) -> None:
        """Note that the body is there: it gives way to none any more. Raises: BusyError."""
        if self.lost:
            raise BusyError
        self._room.leave(self)

    def give_way(self) -> None:
        """Lose it all."""
        self.lost = True
        self.close()
        self.gave_way()

    def close(self) -> None:
        """Give it back."""
        self._room.leave(self)
        self._room.give(self.held)
        self.held = 0


def gunzip(
    data: bytes | bytearray, share: BudgetShare, limit: int = MAX_BODY_BYTES
) -> Generator[None, None, bytearray]:
    """Unpack gzip, of several members too, in steps; never holds more than `limit` bytes of it.

    Returns: what was in it, once the steps have ended.
    Raises: TooLargeError, BusyError; NotGzipError: it is something else, or not all of it.
    """
    unpacked = bytearray()
    at = work = 0
    if not data:
        return unpacked
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            given = member.unconsumed_tail
            if not given:
                given = bytes(data[at : at + _READ_BYTES])
                at += len(given)
            try:
                block = member.decompress(given, STEP_BYTES)
            except zlib.error as error:
                raise NotGzipError(str(error)) from None
            if not block and not given:
                raise NotGzipError("it is cut off")
            if len(unpacked) + len(block) > limit:
                raise TooLargeError
            share.take(len(block))
            unpacked += block
            work += len(given) + len(block)
            if work >= STEP_BYTES:
                yield
                work = 0
        at -= len(member.unused_data)
        at = _after_padding(data, at)
        if at >= len(data):
            return unpacked
    raise TooLargeError(f"the gzip has more than {MAX_MEMBERS} members: pack the body in one")


def _after_padding(data: bytes | bytearray, at: int) -> int:
    """Return where the zeros end that may follow a member."""
    while at < len(data) and data[at] == 0:
        rest = data[at : at + _READ_BYTES].lstrip(b"\0")
        if rest:
            return min(at + _READ_BYTES, len(data)) - len(rest)
        at += _READ_BYTES
    return at
