from pathlib import Path

from tests.helpers.metrics import values
from vllmd.eventlog.bus import Event
from vllmd.history.metrics import HistoryCollector
from vllmd.history.store import Store
from vllmd.history.writer import HistoryWriter


def test_collect_says_how_the_history_fares(tmp_path: Path) -> None:
    history = HistoryWriter(Store(tmp_path))
    collector = HistoryCollector(history)
    assert values(collector.collect())["vllmd_history_up",] == 0
    history.start()
    history.put(Event(1e10, "a.b", "info"))
    assert history.flush(5)
    found = values(collector.collect())
    history.close()
    assert found.pop(("vllmd_history_used_bytes",)) > 0
    assert found == {
        ("vllmd_history_up",): 1.0,
        ("vllmd_history_events_written_total",): 1.0,
        ("vllmd_history_events_dropped_total",): 0.0,
    }
