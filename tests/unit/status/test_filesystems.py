import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from vllmd.status import filesystems
from vllmd.status.filesystems import Filesystems


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Whether the disk of folders with "nfs" in their names answers."""
    event, real = threading.Event(), os.statvfs
    event.set()

    def statvfs(path: Path) -> os.statvfs_result:
        assert threading.current_thread() is not threading.main_thread()
        if "nfs" in str(path):
            event.wait()
        return real(path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    yield event
    event.set()


async def test_look_tells_the_room_and_leaves_out_what_is_not_there(
    tmp_path: Path, answers: threading.Event
) -> None:
    clock = FakeClock()
    looked = Filesystems({"state": tmp_path, "logs": tmp_path / "gone"}, clock)
    assert looked.known() == []
    await looked.look()
    (found,) = looked.known()
    assert (found.role, found.folder, found.read_at) == ("state", str(tmp_path), clock.time())
    assert 0 < found.avail_bytes <= found.size_bytes
    assert looked.problem() is None
    assert looked.silent_since() == {"state": None, "logs": None}


async def test_folder_whose_disk_hangs_keeps_its_figures_and_is_named_until_it_answers(
    tmp_path: Path, answers: threading.Event
) -> None:
    clock, folder = FakeClock(), tmp_path / "nfs"
    folder.mkdir()
    looked = Filesystems({"state": tmp_path, "logs": folder}, clock)
    await looked.look()
    before = clock.time()
    answers.clear()
    await clock.advance(100)
    await looked.look(0.01)
    await clock.advance(100)
    await looked.look(0.01)
    assert [found.read_at for found in looked.known()] == [before + 200, before]
    assert looked.silent_since() == {"state": None, "logs": before + 100}
    problem = looked.problem()
    assert problem is not None
    assert problem.startswith(f"log_dir ({folder}) does not answer since ")
    answers.set()
    while looked.problem() is not None:
        await looked.look()
        await asyncio.sleep(0)
    assert [found.read_at for found in looked.known()] == [before + 200] * 2


async def test_watch_looks_now_and_then(tmp_path: Path, answers: threading.Event) -> None:
    clock = FakeClock()
    looked = Filesystems({"state": tmp_path}, clock)
    watching = asyncio.create_task(looked.watch())
    seen: set[float] = set()
    while len(seen) < 2:
        await clock.advance(1)
        seen |= {found.read_at for found in looked.known()}
    watching.cancel()
    assert max(seen) >= min(seen) + filesystems.LOOK_S
