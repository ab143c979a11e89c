"""How the webhook fares."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.notify.webhook import Outbox

OUTCOMES = ("sent", "failed", "dropped")


class NotificationsCollector:
    """The webhook's own metrics; absent where none is configured."""

    name = "notifications"

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Yield what became of notifications, and how many wait."""
        outbox = self._outbox
        if not outbox.wanted:
            return
        total = CounterMetricFamily(
            "vllmd_notifications_total",
            "Notifications by what became of them: sent, failed for good, dropped from the queue.",
            labels=["outcome"],
        )
        for outcome in OUTCOMES:
            total.add_metric([outcome], outbox.outcomes.get(outcome, 0))
        yield total
        yield CounterMetricFamily(
            "vllmd_notifications_suppressed_total",
            "Failures without a notice, because the one before had the same cause.",
            value=outbox.notices.suppressed,
        )
        yield GaugeMetricFamily(
            "vllmd_notifications_waiting",
            "Notifications that wait to be sent.",
            value=len(outbox.waiting),
        )
