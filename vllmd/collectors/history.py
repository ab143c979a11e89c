"""How the history fares: whether events are written down, and how much room they take."""

from collections.abc import Callable, Iterator

import attrs
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric


@attrs.frozen
class HistoryFigures:
    """What is known of the history now."""

    up: bool
    written: int
    dropped: int
    used_bytes: int


class HistoryCollector:
    """The history's own metrics."""

    name = "history"

    def __init__(self, figures: Callable[[], HistoryFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield whether it works, what was written and lost, and its size."""
        now = self._figures()
        yield GaugeMetricFamily(
            "vllmd_history_up", "Whether events are being written down.", value=now.up
        )
        yield CounterMetricFamily(
            "vllmd_history_events_written_total",
            "Events written down since the daemon began.",
            value=now.written,
        )
        yield CounterMetricFamily(
            "vllmd_history_events_dropped_total",
            "Events lost since the daemon began, because the disk did not take them.",
            value=now.dropped,
        )
        yield GaugeMetricFamily(
            "vllmd_history_used_bytes",
            "What the events take in the file of the history, in bytes.",
            value=now.used_bytes,
        )
