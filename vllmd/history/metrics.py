"""How the history fares: whether events are written down, and how much room they take."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.history.writer import HistoryWriter


class HistoryCollector:
    """The history's own metrics."""

    name = "history"

    def __init__(self, history: HistoryWriter) -> None:
        self._history = history

    def collect(self) -> Iterator[Metric]:
        """Yield whether it works, what was written and lost, and its size."""
        history = self._history
        yield GaugeMetricFamily(
            "vllmd_history_up",
            "Whether events are being written down.",
            value=history.problem is None,
        )
        yield CounterMetricFamily(
            "vllmd_history_events_written_total",
            "Events written down since the daemon began.",
            value=history.written,
        )
        yield CounterMetricFamily(
            "vllmd_history_events_dropped_total",
            "Events lost since the daemon began, because the disk did not take them.",
            value=history.dropped,
        )
        yield GaugeMetricFamily(
            "vllmd_history_used_bytes",
            "What the events take in the file of the history, in bytes.",
            value=history.bytes,
        )
