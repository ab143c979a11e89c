from tests.helpers.metrics import values
from vllmd.collectors.process import OwnProcessCollector


def test_collect_shows_the_daemons_own_cost() -> None:
    found = values(OwnProcessCollector().collect())
    assert found["process_cpu_seconds_total",] > 0
    assert found["process_resident_memory_bytes",] > 1024 * 1024
