"""The fault that each alert is for, a file for each group of alerts."""

from collections.abc import Mapping, Sequence

from tests.timelines.faults import adapters, cost, engine, fleet, gpu, host, serving, vram
from tests.timelines.signals import Fault

FAULTS: Mapping[str, Sequence[Fault]] = {
    "engine": engine.FAULTS,
    "vram": vram.FAULTS,
    "gpu": gpu.FAULTS,
    "serving": serving.FAULTS,
    "adapters": adapters.FAULTS,
    "cost": cost.FAULTS,
    "host": host.FAULTS,
    "fleet": fleet.FAULTS,
}


def every_fault() -> list[Fault]:
    """Return all of them, in the order of the alerts."""
    return [fault for faults in FAULTS.values() for fault in faults]
