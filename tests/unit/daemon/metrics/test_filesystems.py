"""Room where vllmd writes: what `df` says, and nothing of a folder that is gone."""

import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from vllmd.daemon.metrics.filesystems import FilesystemsCollector
from vllmd.status.filesystems import Filesystems


async def test_size_and_room_are_those_of_the_file_system(tmp_path: Path) -> None:
    clock = FakeClock()
    looked = Filesystems({"logs": tmp_path}, clock)
    await looked.look()
    size, avail, silent = FilesystemsCollector(looked, clock).collect()
    known = shutil.disk_usage(tmp_path)
    assert size.samples[0].labels == avail.samples[0].labels == {"role": "logs"}
    assert size.samples[0].value == known.total
    assert 0 < avail.samples[0].value <= known.total
    assert silent.samples[0].value == 0.0


async def test_folder_that_is_gone_is_left_out(tmp_path: Path) -> None:
    clock = FakeClock()
    looked = Filesystems({"logs": tmp_path, "state": tmp_path / "gone"}, clock)
    await looked.look()
    size, avail, _ = FilesystemsCollector(looked, clock).collect()
    assert [[s.labels["role"] for s in family.samples] for family in (size, avail)] == [
        ["logs"]
    ] * 2


async def test_folder_whose_disk_hangs_is_said_with_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, answers = FakeClock(), threading.Event()
    looked = Filesystems({"logs": tmp_path}, clock)
    monkeypatch.setattr(os, "statvfs", lambda _: answers.wait())
    await looked.look(0.01)
    await clock.advance(30)
    silent = list(FilesystemsCollector(looked, clock).collect())[2]
    assert [(s.labels["role"], s.value) for s in silent.samples] == [("logs", 30.0)]
    answers.set()
