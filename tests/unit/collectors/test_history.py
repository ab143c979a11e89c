from tests.helpers.metrics import values
from vllmd.collectors.history import HistoryCollector, HistoryFigures


def test_collect_says_how_the_history_fares() -> None:
    collector = HistoryCollector(lambda: HistoryFigures(True, 7, 2, 4096))
    assert values(collector.collect()) == {
        ("vllmd_history_up",): 1.0,
        ("vllmd_history_events_written_total",): 7.0,
        ("vllmd_history_events_dropped_total",): 2.0,
        ("vllmd_history_used_bytes",): 4096.0,
    }
