"""What to do when a host whose GPU shares its memory has almost none left. Pure.

Such a host does not end a process in time: what the driver takes is no process's, so the kernel
finds nobody to kill, and everything stands still. So one engine gives its memory back before: the
one that holds most. It is started again once there is room; one that has served and brings it about
again is stopped. An engine that holds too little for that to help is left alone: it is not what
fills the host.
"""

import enum
from collections.abc import Sequence

import attrs

from vllmd.util.units import HOUR_S

LOW_S = 3.0
"""How long memory has to be low: an allocation that is freed at once does not count."""
REPEAT_S = HOUR_S
LARGE = 0.1
"""An engine with such a share of all memory helps, whatever is missing."""


class Remedy(enum.StrEnum):
    """What becomes of the engine; both let it answer what it has taken."""

    RESTART = "restart"
    STOP = "stop"


@attrs.frozen
class MemoryHolder:
    """An engine that could give memory back. `since` is in seconds since the epoch."""

    name: str
    bytes: int
    """What it is known to hold."""
    since: float
    serves: bool = True
    """Whether this run has become ready."""


class HostMemoryPolicy:
    """When to act, and on which engine. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._low_since: float | None = None
        self._acted: dict[str, float] = {}

    def is_low(self, available: float | None, floor: float, read_at: float) -> bool:
        """Take a reading, in bytes; tell whether memory has been below the floor for long.

        The same reading may be given again: it counts from when it was read.
        """
        if available is None or available >= floor:
            self._low_since = None
            return False
        if self._low_since is None:
            self._low_since = read_at
        return read_at - self._low_since >= LOW_S

    def choose(
        self, holders: Sequence[MemoryHolder], missing: float, total: float, now: float
    ) -> tuple[MemoryHolder, Remedy] | None:
        """Return the engine that is to give its memory back, and how; None if none would help.

        `missing` bytes of `total` are to be had.
        """
        enough = min(missing, LARGE * total)
        helping = [each for each in holders if each.bytes >= enough]
        if not helping:
            return None
        most = max(helping, key=lambda each: (each.bytes, each.since))
        before = self._acted.get(most.name)
        self._acted[most.name] = now
        again = before is not None and now - before < REPEAT_S
        return most, Remedy.STOP if again and most.serves else Remedy.RESTART
