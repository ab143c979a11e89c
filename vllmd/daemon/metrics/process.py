"""What the daemon itself costs, under the names that every exporter uses (`process_*`)."""

from collections.abc import Iterable

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from vllmd.util.loop_lag import LoopLag


class OwnProcessCollector:
    """CPU seconds, memory, open files and start time of the daemon, and how late it is."""

    name = "process"

    def __init__(self, lag: LoopLag) -> None:
        self._lag = lag
        self._inner = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Metric]:
        """Return prometheus_client's own families, and the lag of the event loop."""
        lag = GaugeMetricFamily(
            "vllmd_event_loop_lag_seconds",
            "How late the daemon's event loop was at worst in the last minute; while it is late, "
            "engines are not watched, and not blamed.",
        )
        lag.add_metric([], self._lag.late_s())
        return [*self._inner.collect(), lag]
