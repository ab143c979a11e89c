from pathlib import Path

import pytest

from tests.helpers.late_disk import LateDisk
from vllmd.engine.weights.loaded import NAME, Loaded, LoadedFile
from vllmd.shim.record import read_record, write_record
from vllmd.util.within import at_once

LOADED = Loaded("1a", {"/m/a": ("1", "2")}, whole=True, kept=True, complete=True)


async def read(folder: Path) -> LoadedFile:
    file = LoadedFile(folder)
    assert (file.load(), file.late) == (None, True)
    await file.read(at_once)
    return file


async def test_what_is_saved_is_there_for_the_next(tmp_path: Path) -> None:
    first = await read(tmp_path)
    assert (first.load(), first.late) == (None, False)
    first.save(LOADED)
    assert first.load() == LOADED
    assert (await read(tmp_path)).load() == LOADED


async def test_what_is_late_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LoadedFile(tmp_path).save(LOADED)
    disk = LateDisk(monkeypatch)
    file = await read_late(tmp_path)
    disk.late = False
    await file.read(at_once)
    assert (file.load(), file.late) == (LOADED, False)


async def read_late(folder: Path) -> LoadedFile:
    file = LoadedFile(folder)
    await file.read(at_once)
    assert (file.load(), file.late) == (None, True)
    return file


async def test_what_is_of_another_boot_is_not_there(tmp_path: Path) -> None:
    LoadedFile(tmp_path).save(LOADED)
    record = read_record(str(tmp_path / NAME))
    assert record is not None
    write_record(str(tmp_path / NAME), {**record, "boot_id": "another"})
    assert (await read(tmp_path)).load() is None
