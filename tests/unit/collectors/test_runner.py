from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.metrics import values
from vllmd.collectors.runner import CollectorRunner
from vllmd.events.daemon import CollectorFailed


class Good:
    name = "good"

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("good", "help", value=1)


class Bad:
    name = "bad"

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("half", "help", value=1)
        raise ZeroDivisionError


def test_collect_one_failure_costs_its_own_metrics_only() -> None:
    with capture_logs() as logs:
        found = values(CollectorRunner([Bad(), Good()], FakeClock()).collect())
    assert found["good",] == 1
    assert ("half",) not in found
    assert found["vllmd_collector_success", "bad"] == 0
    assert found["vllmd_collector_success", "good"] == 1
    assert found["vllmd_collector_duration_seconds", "bad"] == 0
    assert logs[0]["event"] == CollectorFailed.name
