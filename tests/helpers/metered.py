"""One engine on one GPU, looked at when a test says so."""

import json
from collections.abc import Mapping

from vllmd.cost.meter import GpuUse, Meter, Sample
from vllmd.cost.usage import (
    SECOND_NS,
    Activity,
    Counters,
    HourUsage,
    Usage,
    total,
)

BEGIN = 1_000_000 * 3600 * SECOND_NS
"""The full hour at which these tests begin."""
HOUR = BEGIN // SECOND_NS


class Host:
    """One engine on one GPU, looked at when a test says so."""

    def __init__(self, at_s: float = 0.0, held: Mapping[str, int] | None = None) -> None:
        self.now = BEGIN + int(at_s * SECOND_NS)
        self.mono = 5 * SECOND_NS
        self.meter = Meter(self.now, self.mono)
        self.held: Mapping[str, int] = held or {"chat": 1}
        self.worked: Mapping[str, int] = {}
        self.freed: Mapping[str, int] = {}
        self.energy_mj: int | None = None
        self.power_mw = 0
        self.run, self.started = "run-1", self.now

    def pass_s(self, seconds: float) -> "Host":
        self.now += int(seconds * SECOND_NS)
        self.mono += int(seconds * SECOND_NS)
        return self

    def look(self, activity: str = "busy", run: bool = True, complete: bool = True) -> "Host":
        sample = Sample(Activity(activity), self.run if run else None, self.started)
        self.look_at({"chat": sample if complete else None}, complete)
        return self

    def look_at(self, samples: Mapping[str, Sample | None], complete: bool = True) -> None:
        use = GpuUse(self.held, self.worked, self.energy_mj, self.power_mw, self.freed)
        self.meter.look(self.now, self.mono, samples, {"GPU-1": use}, complete)

    def count(self, prompt: int, generation: int = 0) -> "Host":
        self.meter.count("chat", self.run, self.started, Counters(prompt, 0, generation, 0))
        return self

    def restart(self) -> "Host":
        self.run, self.started = f"{self.run}+", self.now
        return self

    def another_daemon(self, after_s: float, boot: str = "") -> "Host":
        """Die, and be followed by another one."""
        state = json.loads(json.dumps(self.meter.state()))
        self.pass_s(after_s)
        kept = self.meter.slots
        self.meter = Meter(self.now, self.mono, boot)
        self.meter.slots = kept
        self.meter.resume(state)
        return self

    def of(self, activity: str, hour: int = HOUR, engine: str = "chat") -> Usage:
        return self.meter.slots.get(HourUsage(hour, engine, Activity(activity)), Usage())

    @property
    def all(self) -> Usage:
        return total(self.meter.slots.values())
