from vllmd.http.connections import ConnectionTotals
from vllmd.http.metrics import ConnectionsCollector


def test_collector_shows_what_became_of_connections() -> None:
    totals = ConnectionTotals()
    counts = totals.of("exporter")
    counts.accepted, counts.open = 3, 1
    counts.closed["full"] += 2
    is_open, accepted, closed = ConnectionsCollector(totals).collect()
    assert [(s.labels, s.value) for s in is_open.samples] == [({"listener": "exporter"}, 1)]
    assert accepted.samples[0].value == 3
    by_reason = {s.labels["reason"]: s.value for s in closed.samples}
    assert by_reason["full"] == 2
    assert by_reason["ended"] == 0  # there from the beginning, for rate()
