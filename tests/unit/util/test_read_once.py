from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.late_disk import LateDisk
from vllmd.util.read_once import ReadOnce
from vllmd.util.state_file import StateFile
from vllmd.util.within import at_once


def count(record: Mapping[str, Any]) -> int:
    return int(record["count"])


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    found = StateFile(tmp_path / "f.json", if_unusable="", if_not_written="")
    found.save({"count": 3})
    return found


async def test_what_is_in_the_file_is_read_once(file: StateFile) -> None:
    once = ReadOnce(file, count)
    assert (once.value, once.is_known) == (None, False)
    await once.read(at_once)
    assert (once.value, once.is_known) == (3, True)
    file.save({"count": 4})
    await once.read(at_once)
    once.read_here()
    assert once.value == 3


async def test_what_was_late_is_read_again(
    file: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, disk = ReadOnce(file, count), LateDisk(monkeypatch)
    await once.read(at_once)
    assert (once.value, once.is_known) == (None, False)
    disk.late = False
    await once.read(at_once)
    assert (once.value, once.is_known) == (3, True)


async def test_what_its_user_knows_by_then_is_newer(file: StateFile) -> None:
    once = ReadOnce(file, count)

    def saved_meanwhile(record: Mapping[str, Any]) -> int:
        once.know(7)
        return count(record)

    once._parse = saved_meanwhile
    await once.read(at_once)
    assert once.value == 7


async def test_without_a_file_only_what_is_told_is_known() -> None:
    once = ReadOnce[int](None, count)
    await once.read(at_once)
    once.read_here()
    assert (once.value, once.is_known) == (None, True)
    once.know(5)
    assert once.value == 5
