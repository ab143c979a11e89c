from tests.helpers.clock import FakeClock
from vllmd.collectors.base import Collector
from vllmd.daemon.metrics.build import BuildCollector
from vllmd.daemon.metrics.process import OwnProcessCollector
from vllmd.engine.metrics import EnginesCollector, UsageCollector
from vllmd.scrape.metrics import PagesCollector
from vllmd.util.loop_lag import LoopLag


def test_every_collector_has_a_name_of_its_own() -> None:
    clock = FakeClock()
    collectors: list[Collector] = [
        BuildCollector(),
        EnginesCollector(list, clock),
        UsageCollector(list, clock),
        PagesCollector([]),
        OwnProcessCollector(LoopLag(clock)),
    ]
    assert len({collector.name for collector in collectors}) == len(collectors)
