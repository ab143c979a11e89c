"""Runs every collector; one that fails costs its own metrics and nothing else."""

from collections.abc import Iterator, Sequence

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from vllmd.collectors.base import Collector
from vllmd.events.base import emit
from vllmd.events.daemon import CollectorFailed
from vllmd.util.clock import Clock

_log = structlog.get_logger()


class CollectorRunner:
    """All collectors as one, for prometheus_client's encoders."""

    def __init__(self, collectors: Sequence[Collector], clock: Clock) -> None:
        self._collectors = collectors
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield every family of every collector, then how the collectors fared."""
        success = GaugeMetricFamily(
            "vllmd_collector_success", "Whether the collector worked.", labels=["collector"]
        )
        duration = GaugeMetricFamily(
            "vllmd_collector_duration_seconds",
            "How long the collector took, in seconds.",
            labels=["collector"],
        )
        for collector in self._collectors:
            started = self._clock.monotonic()
            try:
                families = list(collector.collect())
            except Exception:  # noqa: BLE001 - one collector's bug must not blank the page
                emit(_log, CollectorFailed(collector=collector.name), exc_info=True)
                families = []
                success.add_metric([collector.name], 0)
            else:
                success.add_metric([collector.name], 1)
            duration.add_metric([collector.name], self._clock.monotonic() - started)
            yield from families
        yield success
        yield duration
