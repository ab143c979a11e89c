"""The connections to the daemon's listeners: how many are open, and what became of the others."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from vllmd.http.connections import ConnectionTotals


class ConnectionsCollector:
    """Counts of connections by listener."""

    name = "connections"

    def __init__(self, totals: ConnectionTotals) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """Yield how many are open, were accepted, and were closed, and why."""
        is_open = GaugeMetricFamily(
            "vllmd_connections_open",
            "Connections that are open, by listener.",
            labels=["listener"],
        )
        accepted = CounterMetricFamily(
            "vllmd_connections_accepted_total",
            "Connections accepted since the daemon began, by listener.",
            labels=["listener"],
        )
        closed = CounterMetricFamily(
            "vllmd_connections_closed_total",
            "Connections that ended, by listener and why: ended (in order, by either side); idle, "
            "head, body, unread (took too long); full (too many were open); exhausted (no file "
            "descriptor was left); handshake (TLS failed); flood, protocol (HTTP/2 that no client "
            "needs to send, or none).",
            labels=["listener", "reason"],
        )
        for listener, counts in self._totals.items():
            is_open.add_metric([listener], counts.open)
            accepted.add_metric([listener], counts.accepted)
            for reason, number in counts.closed.items():
                closed.add_metric([listener, reason], number)
        yield from (is_open, accepted, closed)
