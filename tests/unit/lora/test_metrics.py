from tests.helpers.metrics import values
from vllmd.lora.adapter_status import AdapterCondition, AdapterStatus
from vllmd.lora.metrics import AdaptersCollector

SQL = AdapterStatus(
    "sql", "/srv/sql", AdapterCondition.LOADED, "file", None, 5.0, 0.25, 2, stale=True
)
BAD = AdapterStatus("bad", "/srv/bad", AdapterCondition.FAILED, "command", "rank", 6.0, None, 1)
NEW = AdapterStatus("new", "/srv/new", AdapterCondition.PENDING, "directory")
THEIRS = AdapterStatus("theirs", "/x", AdapterCondition.UNLISTED)


def test_collect_tells_how_each_adapter_stands() -> None:
    found = values(AdaptersCollector(lambda: {"chat": [SQL, BAD, NEW, THEIRS]}).collect())
    name = "vllmd_lora_"
    assert found == {
        (f"{name}adapter_info", "sql", "/srv/sql", "file", "chat"): 1,
        (f"{name}adapter_info", "bad", "/srv/bad", "command", "chat"): 1,
        (f"{name}adapter_info", "new", "/srv/new", "directory", "chat"): 1,
        (f"{name}adapter_loaded", "sql", "chat"): 1,
        (f"{name}adapter_loaded", "bad", "chat"): 0,
        (f"{name}adapter_loaded", "new", "chat"): 0,
        (f"{name}adapter_stale", "sql", "chat"): 1,
        (f"{name}adapter_stale", "bad", "chat"): 0,
        (f"{name}adapter_stale", "new", "chat"): 0,
        (f"{name}load_errors_total", "sql", "chat"): 2,
        (f"{name}load_errors_total", "bad", "chat"): 1,
        (f"{name}load_errors_total", "new", "chat"): 0,
        (f"{name}last_change_timestamp_seconds", "sql", "chat"): 5,
        (f"{name}last_change_timestamp_seconds", "bad", "chat"): 6,
        (f"{name}load_duration_seconds", "sql", "chat"): 0.25,
        (f"{name}unlisted_adapters", "chat"): 1,
    }


def test_collect_of_engines_without_adapters_is_nothing() -> None:
    assert list(AdaptersCollector(dict).collect()) == []
