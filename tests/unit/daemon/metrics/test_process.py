from tests.helpers.clock import FakeClock
from tests.helpers.metrics import values
from vllmd.daemon.metrics.process import OwnProcessCollector
from vllmd.util.loop_lag import LoopLag


def test_collect_shows_the_daemons_own_cost() -> None:
    found = values(OwnProcessCollector(LoopLag(FakeClock())).collect())
    assert found["process_cpu_seconds_total",] > 0
    assert found["process_resident_memory_bytes",] > 1024 * 1024


def test_collect_shows_how_late_the_event_loop_was() -> None:
    lag = LoopLag(FakeClock())
    lag.late_s = lambda: 7.5  # type: ignore[method-assign]
    assert values(OwnProcessCollector(lag).collect())["vllmd_event_loop_lag_seconds",] == 7.5
