from tests.helpers.clock import FakeClock
from vllmd.collectors.base import Collector
from vllmd.collectors.build import BuildCollector
from vllmd.collectors.engines import EnginesCollector, UsageCollector
from vllmd.collectors.pages import PagesCollector
from vllmd.collectors.process import OwnProcessCollector
from vllmd.loop_lag import LoopLag


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
