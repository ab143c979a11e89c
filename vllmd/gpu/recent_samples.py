"""What each GPU showed second by second, for a minute or two: what a hang is told by."""

from collections import deque
from collections.abc import Mapping

from vllmd.engine.liveness.reading import GpuSample
from vllmd.util.units import MINUTE_S

KEPT_S = 2 * MINUTE_S
THROTTLED = tuple(
    f"clock_event_active:{reason}"
    for reason in ("sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal", "hw_power_brake")
)
"""Reasons for lower clocks that make work look like less of it."""


class RecentSamples:
    """The samples of all GPUs, by UUID. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[GpuSample]] = {}

    def take(self, now: float, values: Mapping[str, Mapping[str, float]]) -> None:
        """Take one reading of the fast set: figures by UUID and `Row.key`."""
        for uuid, read in values.items():
            samples = self._samples.setdefault(uuid, deque())
            samples.append(
                GpuSample(
                    now,
                    read.get("busy_ratio"),
                    read.get("memory_bus_busy_ratio"),
                    read.get("power_watts"),
                    any(read.get(key) for key in THROTTLED),
                )
            )
            while samples[0].at < now - KEPT_S:
                samples.popleft()

    def since(self, uuid: str, at: float) -> tuple[GpuSample, ...]:
        """Return the samples of one GPU that were taken after a time, the oldest first."""
        return tuple(sample for sample in self._samples.get(uuid, ()) if sample.at > at)

    def forget(self) -> None:
        """Forget all: the source has ended."""
        self._samples.clear()
