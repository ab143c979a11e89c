"""How the history fares, and when the newest events were."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.history.marks import RecentMarks
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


class MarksCollector:
    """When the newest events were: graphs are marked with them."""

    name = "marks"

    def __init__(self, marks: RecentMarks) -> None:
        self._marks = marks

    def collect(self) -> Iterator[Metric]:
        """Yield one family."""
        family = GaugeMetricFamily(
            "vllmd_event_timestamp_seconds",
            "When an event was, Unix time; of each engine, and of the host, the last 16. `detail` "
            "is a cause, an adapter, an Xid or a version; `n` tells events from each other.",
            labels=["vllmd_engine", "event", "detail", "n"],
        )
        for place, mark in self._marks.placed():
            family.add_metric([mark.engine, mark.event, mark.detail, str(place)], mark.at)
        yield family
