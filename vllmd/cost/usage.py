"""What an engine used: whole numbers, so that sums are exact. Pure."""

import enum
from collections.abc import Iterable
from typing import Any

import attrs

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
NOBODY, OTHERS = "(nobody)", "(others)"
"""In the place of an engine: what no engine had of a GPU, and what processes had that are not of
one. No engine can have such a name."""
UNATTRIBUTED = {NOBODY: "nobody", OTHERS: "others"}
"""What people are shown in their place."""


class Activity(enum.StrEnum):
    """What an engine did with its time."""

    BUSY = "busy"
    """Requests were computed."""
    IDLE = "idle"
    """It served, and nobody asked."""
    DOWN = "down"
    """It did not serve: it loaded, was stopped, held, or broken."""
    UNWATCHED = "unwatched"
    """It ran on while no daemon looked."""


@attrs.frozen
class Counters:
    """What an engine has counted since its start."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of those, how many were in the prefix cache."""
    generation_tokens: int = 0
    requests: int = 0

    def since(self, before: "Counters") -> "Counters":
        """Return what was added; a counter that fell began anew."""
        values = {}
        for field in attrs.fields(Counters):
            now, then = getattr(self, field.name), getattr(before, field.name)
            values[field.name] = now - then if now >= then else now
        return Counters(**values)

    def plus(self, other: "Counters") -> "Counters":
        """Return the sum of both."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Counters(*(a + b for a, b in pairs))

    def less(self, other: "Counters") -> "Counters":
        """Return what is left without the other: nothing where that has more."""
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Counters(*(max(0, a - b) for a, b in pairs))

    def __bool__(self) -> bool:
        """Tell whether anything was counted."""
        return any(attrs.astuple(self))


@attrs.frozen
class Usage:
    """A sum of time, energy and tokens."""

    duration_ns: int = 0
    gpu_ns: int = 0
    """GPU time: two GPUs for a second are two seconds; one that several share is divided by the
    memory that they hold."""
    energy_mj: int = 0
    """Of its GPUs, in millijoules."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generation_tokens: int = 0
    requests: int = 0
    asleep_ns: int = 0
    """How much of `duration_ns` it slept."""
    freed_gpu_ns: int = 0
    """GPU time that it gave back while it slept: by the part of a GPU's memory that it freed."""

    def __add__(self, other: "Usage") -> "Usage":
        """Add two."""
        return Usage(
            *(a + b for a, b in zip(attrs.astuple(self), attrs.astuple(other), strict=True))
        )

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.prompt_tokens + self.generation_tokens


@attrs.frozen
class HourUsage:
    """One hour of one engine, by what it did; `hour` is its begin, in seconds since the epoch."""

    hour: int
    engine: str
    activity: Activity


def total(usages: Iterable[Usage]) -> Usage:
    """Return their sum."""
    return sum(usages, start=Usage())


def to_json(slot: HourUsage, usage: Usage) -> dict[str, Any]:
    """Return one row as it is kept."""
    return {**attrs.asdict(slot), "activity": str(slot.activity), **attrs.asdict(usage)}


def from_json(row: dict[str, Any]) -> tuple[HourUsage, Usage]:
    """Read what `to_json` made.

    Raises: KeyError, ValueError, TypeError: it is something else.
    """
    slot = HourUsage(int(row["hour"]), str(row["engine"]), Activity(row["activity"]))
    values = {field.name: row[field.name] for field in attrs.fields(Usage) if field.name in row}
    if missing := _ALWAYS - values.keys():
        raise KeyError(", ".join(sorted(missing)))
    return slot, Usage(**{name: int(value) for name, value in values.items()})


_ALWAYS = {field.name for field in attrs.fields(Usage)} - {"asleep_ns", "freed_gpu_ns"}
"""What each row has; an older version did not write the others."""
