"""The table of an engine."""

from vllmd.importing.table import EngineTable, of_secret


def test_tables_share_nothing() -> None:
    EngineTable().keys["model"] = "m"
    assert EngineTable().keys == {}
    assert of_secret("api_key").endswith("/etc/vllmd/credentials/api_key")
