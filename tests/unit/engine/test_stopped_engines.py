import asyncio
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.late_disk import LateDisk
from vllmd.engine.stopped_engines import StoppedEngines
from vllmd.events.daemon import StateFileUnreadable
from vllmd.util import state_file


async def test_stopped_survives_the_daemon_not_the_boot(tmp_path: Path) -> None:
    path = tmp_path / "stopped.json"
    stopped = StoppedEngines(path, "boot-1")
    stopped.add("a")
    await stopped.save()
    assert "a" in StoppedEngines(path, "boot-1")
    assert "a" not in StoppedEngines(path, "boot-2")


async def test_discard_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "stopped.json"
    stopped = StoppedEngines(path, "b")
    stopped.add("a")
    await stopped.save()
    stopped.discard("a")
    stopped.discard("never there")
    await stopped.save()
    assert "a" not in StoppedEngines(path, "b")


@pytest.mark.parametrize("content", ["", "{", '{"stopped": 3}', "[]"])
def test_garbage_is_said_and_stops_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stopped.json"
    path.write_text(content)
    with capture_logs() as logs:
        stopped = StoppedEngines(path, "b")
    assert "a" not in stopped
    assert [entry["event"] for entry in logs] == [StateFileUnreadable.name]


async def test_save_that_cannot_be_written_raises_holds_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("in the way")
    stopped = StoppedEngines(tmp_path / "none" / "stopped.json", "b")
    stopped.add("a")
    for _ in range(2):
        with pytest.raises(FileExistsError):
            await stopped.save()
    assert "a" in stopped
    (tmp_path / "none").unlink()
    await stopped.save()
    assert "a" in StoppedEngines(tmp_path / "none" / "stopped.json", "b")


async def test_save_at_a_disk_that_stands_still_holds_up_nobody_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, written = threading.Event(), list[list[str]]()

    def write(_: str, record: dict[str, list[str]], *, sync: bool) -> None:
        assert sync
        assert disk.wait(20)
        written.append(record["stopped"])

    monkeypatch.setattr(state_file, "write_record", write)
    stopped = StoppedEngines(tmp_path / "stopped.json", "b")
    stopped.add("a")
    first = asyncio.create_task(stopped.save())
    await asyncio.sleep(0)
    stopped.add("b")
    second, same = (asyncio.create_task(stopped.save()) for _ in range(2))
    await asyncio.sleep(0)
    assert not first.done()  # and this test goes on
    disk.set()
    await asyncio.gather(first, second, same)
    assert written == [["a"], ["a", "b"]]


async def test_file_that_is_read_late_is_not_written_over_and_counts_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "stopped.json"
    first = StoppedEngines(path, "b")
    first.add("a")
    first.add("started")
    await first.save()
    disk = LateDisk(monkeypatch)
    stopped = StoppedEngines(path, "b")
    assert stopped.late is not None
    stopped.add("b")
    stopped.discard("started")
    with pytest.raises(OSError, match="not written over"):
        await stopped.save()
    disk.late = False
    await stopped.read_again()
    assert stopped.late is None
    assert [name for name in ("a", "b", "started") if name in stopped] == ["a", "b"]
    await stopped.save()
    again = StoppedEngines(path, "b")
    assert [name for name in ("a", "b", "started") if name in again] == ["a", "b"]
