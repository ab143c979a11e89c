"""What one engine showed when it worked: its longest step, and the least its GPUs did. Pure.

Learned of this run and of earlier ones of the same command, only between two pages with progress
that are followed by a third: the beginning of a hang is no work. Of the least, two odd readings do
not count: the third lowest does, so nothing is known before three.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from vllmd.engine.liveness.reading import GpuTrace

FULL_RATIO = 0.95
"""From this share of a sample period on, a GPU is busy without a pause."""
COUNTED = 3


@attrs.define
class WorkBaseline:
    """Figures of one engine under one command."""

    longest_step_s: float = 0.0
    """The longest for which a count of steps stood still with requests running, and then moved."""
    bus: list[float] = attrs.field(factory=list)
    """The lowest of what the memory bus reached in stretches of work at full use, ascending."""
    watts: list[float] = attrs.field(factory=list)
    """The same of power."""
    idle_watts: float | None = None
    """The lowest power of an idle GPU."""

    @property
    def learned(self) -> bool:
        """Whether work was seen long enough."""
        return len(self.bus) == COUNTED

    @property
    def on_gpus(self) -> bool:
        """Whether the engine was seen with memory of a GPU."""
        return bool(self.bus) or self.idle_watts is not None

    @property
    def least_bus(self) -> float | None:
        """The least that the memory bus reaches at work; None if nobody knows yet."""
        return self.bus[-1] if self.learned else None

    @property
    def least_watts(self) -> float | None:
        """The least power at work, in watts; None if nobody knows yet."""
        return self.watts[-1] if self.learned else None

    def stepped(self, after_s: float) -> None:
        """Note a step that took so long at least."""
        self.longest_step_s = max(self.longest_step_s, after_s)

    def worked(self, traces: Iterable[GpuTrace]) -> None:
        """Note what GPUs showed in a stretch of time in which the engine made steps.

        Of a GPU that it shares nobody knows whose work that was.
        """
        for trace in traces:
            if trace.shared:
                continue
            full = [s for s in trace.samples if (s.busy or 0.0) >= FULL_RATIO]
            bus = [sample.bus for sample in full if sample.bus is not None]
            watts = [sample.watts for sample in full if sample.watts is not None]
            if bus and watts:
                self.bus = sorted([*self.bus, max(bus)])[:COUNTED]
                self.watts = sorted([*self.watts, max(watts)])[:COUNTED]

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
            [float(each) for each in kept["bus"]][:COUNTED],
            [float(each) for each in kept["watts"]][:COUNTED],
            None if idle is None else float(idle),
        )
