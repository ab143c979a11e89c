"""What the daemon itself costs, under the names that every exporter uses (`process_*`)."""

from collections.abc import Iterable

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric


class OwnProcessCollector:
    """CPU seconds, memory, open files and start time of the daemon."""

    name = "process"

    def __init__(self) -> None:
        self._inner = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Metric]:
        """Return prometheus_client's own families."""
        return self._inner.collect()
