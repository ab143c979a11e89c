"""How the daemon's own parts fare."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from vllmd.parts import Parts


class PartsCollector:
    """How often each part of the daemon failed."""

    name = "parts"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        """Yield the failures of each part, those too that never failed."""
        failures = CounterMetricFamily(
            "vllmd_part_failures_total",
            "Mistakes that ended a part of the daemon, or one piece of its work; it goes on.",
            labels=["part"],
        )
        for name, count in sorted(self._parts.failures().items()):
            failures.add_metric([name], count)
        yield failures
