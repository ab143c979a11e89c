"""What one engine showed when it worked: its longest step, and the least its GPUs did. Pure.

Learned of this run and of earlier ones of the same command, only between two pages with progress
that are followed by a third: the beginning of a hang is no work. Of the least, two odd readings do
not count: the third lowest does, so nothing is known before three.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from vllmd.engine.liveness.reading import GpuSample, GpuTrace

FULL_RATIO = 0.95
"""From this share of a sample period on, a GPU is busy without a pause."""
PART_RATIO = 0.3
"""From this share on it is at work, with pauses: an engine whose host is slower than its GPU."""
COUNTED = 3
MOST_STILL_S = 60.0
"""Longer than so much that seemed still in a step that went on is not learned: what a debugger or a
host did once would keep all later hangs from being found."""


@attrs.define
class Least:
    """The lowest of what stretches of work reached, each ascending: memory bus, and watts."""

    bus: list[float] = attrs.field(factory=list)
    watts: list[float] = attrs.field(factory=list)

    @property
    def learned(self) -> bool:
        """Whether work was seen long enough."""
        return len(self.bus) == COUNTED

    def add(self, samples: Iterable[GpuSample]) -> None:
        """Note the samples of one stretch."""
        told = [(s.bus, s.watts) for s in samples if s.bus is not None and s.watts is not None]
        if told:
            self.bus = sorted([*self.bus, max(bus for bus, _ in told)])[:COUNTED]
            self.watts = sorted([*self.watts, max(watts for _, watts in told)])[:COUNTED]

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Least":
        """Read what was kept."""
        bus, watts = ([float(each) for each in kept[name]] for name in ("bus", "watts"))
        return cls(bus[:COUNTED], watts[:COUNTED])


@attrs.define
class WorkBaseline:
    """Figures of one engine under one command."""

    longest_step_s: float = 0.0
    """The longest for which a count of steps stood still with requests running, and then moved."""
    longest_still_s: float = 0.0
    """The longest for which nothing seemed to be computed in such a step, up to a minute."""
    full: Least = attrs.field(factory=Least)
    """At full use of a GPU."""
    part: Least = attrs.field(factory=Least)
    """With pauses; counts only where full use was not seen."""
    idle_watts: float | None = None
    """The lowest power of an idle GPU."""

    @property
    def learned(self) -> bool:
        """Whether work was seen long enough."""
        return self.full.learned or self.part.learned

    @property
    def on_gpus(self) -> bool:
        """Whether the engine was seen with memory of a GPU."""
        return bool(self.full.bus or self.part.bus) or self.idle_watts is not None

    @property
    def _least(self) -> Least:
        return self.full if self.full.learned else self.part

    @property
    def least_bus(self) -> float | None:
        """The least that the memory bus reaches at work; None if nobody knows yet."""
        return self._least.bus[-1] if self.learned else None

    @property
    def least_watts(self) -> float | None:
        """The least power at work, in watts; None if nobody knows yet."""
        return self._least.watts[-1] if self.learned else None

    def stepped(self, after_s: float, still_s: float) -> None:
        """Note a step that took so long at least, and seemed still for so long."""
        self.longest_step_s = max(self.longest_step_s, after_s)
        self.longest_still_s = max(self.longest_still_s, min(still_s, MOST_STILL_S))

    def worked(self, traces: Iterable[GpuTrace]) -> None:
        """Note what GPUs showed in a stretch of time in which the engine made steps.

        Of a GPU that it shares nobody knows whose work that was.
        """
        for trace in traces:
            if trace.shared:
                continue
            busy = [(sample.busy or 0.0, sample) for sample in trace.samples]
            self.full.add(sample for ratio, sample in busy if ratio >= FULL_RATIO)
            self.part.add(sample for ratio, sample in busy if PART_RATIO <= ratio < FULL_RATIO)

    def seen(self, traces: Iterable[GpuTrace]) -> None:
        """Note the power of GPUs that were idle."""
        idle = [s.watts for t in traces for s in t.samples if s.busy == 0 and s.watts is not None]
        if idle:
            self.idle_watts = min([*idle, self.idle_watts or idle[0]])

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "WorkBaseline":
        """Read what was kept. Raises: KeyError, TypeError, ValueError: it makes no sense."""
        idle = kept["idle_watts"]
        return cls(
            float(kept["longest_step_s"]),
            min(float(kept["longest_still_s"]), MOST_STILL_S),
            Least.from_json(kept["full"]),
            Least.from_json(kept["part"]),
            None if idle is None else float(idle),
        )
