"""How the daemon's own parts fare."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, Metric

from vllmd.util.parts import PartRunner


class PartsCollector:
    """How often each part of the daemon failed, and how often the whole of it."""

    name = "parts"

    def __init__(self, parts: PartRunner, unexpected_ends: Callable[[], int]) -> None:
        self._parts = parts
        self._unexpected_ends = unexpected_ends

    def collect(self) -> Iterator[Metric]:
        """Yield the failures of each part, those too that never failed, and the bad ends."""
        failures = CounterMetricFamily(
            "vllmd_part_failures_total",
            "Errors that ended a part of the daemon, or one piece of its work; it is restarted.",
            labels=["part"],
        )
        for name, count in sorted(self._parts.failures().items()):
            failures.add_metric([name], count)
        yield failures
        yield CounterMetricFamily(
            "vllmd_daemon_unexpected_ends_total",
            "Daemons that ended by a mistake or were killed, counted by the one that came after.",
            value=self._unexpected_ends(),
        )
