"""The open connections of one listener: how many there may be, and how long each may take.

A connection is in one phase at a time; whoever speaks its protocol says which, and how long it may
last. What lasts longer is closed. When there are too many, the peer that has the most loses one.
"""

import enum
import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable

import attrs

from vllmd.util.units import KIB, MINUTE_S

_V6_NETWORK_BITS = 64
"""What one customer of a provider gets: its addresses count as one peer."""


class ConnectionPhase(enum.IntEnum):
    """What a connection is waiting for; when there are too many, the first of these goes first."""

    IDLE = 0
    """The client has asked for nothing."""
    HEAD = 1
    """A handshake or the head of a request has begun."""
    SENDING = 2
    """The client does not take its answer."""
    BODY = 3
    """The body of a request is coming."""
    WORKING = 4
    """The answer is being made."""


REASONS = {
    ConnectionPhase.IDLE: "idle",
    ConnectionPhase.HEAD: "head",
    ConnectionPhase.SENDING: "unread",
    ConnectionPhase.BODY: "body",
    ConnectionPhase.WORKING: "working",
}
"""Why a connection was closed whose phase took too long."""
ENDED, FULL, EXHAUSTED, HANDSHAKE = "ended", "full", "exhausted", "handshake"
"""In order, by either side; too many were open; there was no descriptor; TLS failed."""
FLOOD, PROTOCOL = "flood", "protocol"
"""HTTP/2: more resets, settings, pings or headers than any client needs; it was none."""
ALL_REASONS = (*REASONS.values(), ENDED, FULL, EXHAUSTED, HANDSHAKE, FLOOD, PROTOCOL)


@attrs.frozen
class ConnectionLimits:
    """How long each phase of a connection may take, in seconds, and how much may come."""

    head_s: float | None = 10.0
    """From the first byte of a request until its head is whole."""
    body_s: float | None = 30.0
    idle_s: float | None = 75.0
    """Between two requests: longer than most scrape intervals."""
    unread_s: float | None = 10.0
    """How long a client may take for the next piece of its answer."""
    answer_s: float = MINUTE_S
    """And how long for all of it, once it was slow."""
    max_body_bytes: int | None = 64 * KIB
    """None: the application looks after that."""


@attrs.define
class ConnectionCounts:
    """What became of the connections of one listener."""

    open: int = 0
    accepted: int = 0
    closed: Counter[str] = attrs.field(factory=lambda: Counter(dict.fromkeys(ALL_REASONS, 0)))


class ConnectionTotals:
    """The counts of all listeners by name; they outlive a listener that is made anew."""

    def __init__(self) -> None:
        self._counts: dict[str, ConnectionCounts] = {}

    def of(self, name: str) -> ConnectionCounts:
        """Return the counts of a listener."""
        return self._counts.setdefault(name, ConnectionCounts())

    def items(self) -> Iterable[tuple[str, ConnectionCounts]]:
        """Return all of them."""
        return self._counts.items()


class Connection:
    """One open connection."""

    def __init__(self, among: "Connections", peer: str, cut: Callable[[], None]) -> None:
        self._among = among
        self.peer = peer
        self.cut = cut
        """Ends it at once; what was not sent is lost."""
        self.since = self.active_at = among.now()
        self.phase = ConnectionPhase.IDLE
        self.until: float | None = None

    def enter(self, phase: ConnectionPhase, within_s: float | None) -> None:
        """Be in a phase from now on; without a limit it may last for ever."""
        self._among.move(self, phase)
        self.phase = phase
        self.since = now = self._among.now()
        self.until = None if within_s is None else now + within_s
        if self.until is not None:
            self._among.watch(self.until)
        self._among.told()

    def active(self) -> None:
        """Note that bytes came or went."""
        self.active_at = self._among.now()

    def close(self, reason: str) -> None:
        """Close it, and count why."""
        if self._among.remove(self, reason):
            self.cut()


class Connections:
    """Those that are open; times are monotonic, in seconds."""

    def __init__(
        self,
        bound: int | None,
        counts: ConnectionCounts,
        now: Callable[[], float],
        wake_at: Callable[[float], None],
    ) -> None:
        """Keep up to `bound` open; `wake_at` has `sweep` called at a time, or earlier."""
        self.bound = bound
        self.counts = counts
        self.now = now
        self.at_rest: Callable[[], None] | None = None
        """Is called when no request is under way any more, if somebody waits for that."""
        self._wake_at = wake_at
        self._next_wake: float | None = None
        self._open: dict[Connection, None] = {}  # in the order of their opening
        self._phases: dict[ConnectionPhase, dict[Connection, None]] = {
            phase: {} for phase in sorted(ConnectionPhase)
        }
        self._by_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def all(self) -> list[Connection]:
        """Return those that are open, the oldest first."""
        return list(self._open)

    def add(self, peer: str, cut: Callable[[], None], first_s: float | None) -> Connection:
        """Take one more, which has so long until its first byte; too many, and one is closed."""
        connection = Connection(self, peer, cut)
        self._open[connection] = None
        self._by_peer[peer] += 1
        self.counts.accepted += 1
        self.counts.open += 1
        while self.bound is not None and len(self._open) > self.bound:
            if not self.make_room(FULL, exempt=connection):
                break
        connection.enter(ConnectionPhase.IDLE, first_s)
        return connection

    def make_room(
        self,
        reason: str,
        *,
        exempt: Connection | None = None,
        last: ConnectionPhase = ConnectionPhase.WORKING,
    ) -> bool:
        """Close the one that is missed least, of the peer that has the most.

        Returns: whether there was one in a phase up to `last`.
        """
        most = max(self._by_peer.values(), default=0)
        for phase, waiting in self._phases.items():
            if phase > last:
                break
            for connection in waiting:  # the one that is in it longest comes first
                if self._by_peer[connection.peer] == most and connection is not exempt:
                    connection.close(reason)
                    return True
        return False

    def move(self, connection: Connection, phase: ConnectionPhase) -> None:
        """Note the next phase of a connection, as long as it is open."""
        if connection in self._open:
            self._phases[connection.phase].pop(connection, None)
            self._phases[phase][connection] = None

    def remove(self, connection: Connection, reason: str) -> bool:
        """Forget one that has ended. Returns: whether it was still known."""
        if connection not in self._open:
            return False
        del self._open[connection]
        self._phases[connection.phase].pop(connection, None)
        self._by_peer[connection.peer] -= 1
        if not self._by_peer[connection.peer]:
            del self._by_peer[connection.peer]
        self.counts.open -= 1
        self.counts.closed[reason] += 1
        self.told()
        return True

    def told(self) -> None:
        """See whether whoever waits for the last request has to wait on."""
        if self.at_rest is not None and not self.under_way():
            self.at_rest()

    def under_way(self) -> int:
        """Return how many have a request that is not answered."""
        return sum(c.phase > ConnectionPhase.HEAD for c in self._open)

    # --- limits of time ------------------------------------------------------------------------

    def watch(self, at: float) -> None:
        """See to it that `sweep` comes at that time."""
        if self._next_wake is None or at < self._next_wake:
            self._next_wake = at
            self._wake_at(at)

    def sweep(self) -> None:
        """Close those whose phase has taken too long."""
        now, self._next_wake = self.now(), None
        for connection in list(self._open):
            if connection.until is not None and connection.until <= now:
                connection.close(REASONS[connection.phase])
        limits = [c.until for c in self._open if c.until is not None]
        if limits:
            self.watch(min(limits))


def peer_of(connection: socket.socket, address: object) -> str:
    """Return who is at the other end, as far as bounds are concerned: an address, or a user.

    An IPv6 peer is its network, as it has as many addresses as it likes.
    """
    if connection.family == socket.AF_UNIX:
        size = struct.calcsize("3i")
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return f"uid {struct.unpack('3i', raw)[1]}"
    host = str(address[0]) if isinstance(address, tuple) else ""
    if connection.family != socket.AF_INET6:
        return host
    parsed = ipaddress.IPv6Address(host.split("%")[0])
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), _V6_NETWORK_BITS), strict=False))
