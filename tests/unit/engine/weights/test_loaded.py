from pathlib import Path

from vllmd.engine.weights.loaded import NAME, Loaded, LoadedFile
from vllmd.shim.record import read_record, write_record

LOADED = Loaded("1a", {"/m/a": ("1", "2")}, whole=True, kept=True, complete=True)


def test_what_is_saved_is_there_for_the_next(tmp_path: Path) -> None:
    assert LoadedFile(tmp_path).load() is None
    LoadedFile(tmp_path).save(LOADED)
    assert LoadedFile(tmp_path).load() == LOADED


def test_what_is_of_another_boot_is_not_there(tmp_path: Path) -> None:
    LoadedFile(tmp_path).save(LOADED)
    record = read_record(str(tmp_path / NAME))
    assert record is not None
    write_record(str(tmp_path / NAME), {**record, "boot_id": "another"})
    assert LoadedFile(tmp_path).load() is None
