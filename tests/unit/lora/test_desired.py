import asyncio
import functools
import operator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.late_disk import LateDisk
from vllmd.demo.adapter import write_adapter
from vllmd.events.daemon import StateFileUnreadable
from vllmd.lora.desired import (
    AdapterSource,
    AdapterStateFile,
    DesiredAdapter,
    FolderError,
    merge,
    scan,
)


def test_scan_finds_folders_with_an_adapter(tmp_path: Path) -> None:
    write_adapter(tmp_path / "b")
    write_adapter(tmp_path / "a")
    write_adapter(tmp_path / ".copying")
    write_adapter(tmp_path / "x,y")
    (tmp_path / "begun").mkdir()
    (tmp_path / "note.txt").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert list(scan(str(tmp_path))) == ["a", "b", "link"]


def test_scan_of_a_folder_that_is_gone_is_an_error_not_nothing(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="cannot be read: No such file"):
        scan(str(tmp_path / "gone"))


def test_merge_prefers_the_file_then_the_folder() -> None:
    merged = merge({"a": "/file"}, {"a": "/folder", "b": "/folder"}, {"b": "/x", "c": "/command"})
    assert merged == {
        "a": DesiredAdapter("/file", AdapterSource.FILE),
        "b": DesiredAdapter("/folder", AdapterSource.DIRECTORY),
        "c": DesiredAdapter("/command", AdapterSource.COMMAND),
    }


def test_kept_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = AdapterStateFile(tmp_path / "engines" / "chat.lora.json", {"a": "/a"}, {"a", "b"})
    kept.write()
    again = AdapterStateFile(kept.path)
    again.read()
    assert (again.added, again.loaded) == ({"a": "/a"}, {"a", "b"})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"added": [], "loaded": []}'])
def test_kept_that_cannot_be_understood_is_set_aside_and_said_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chat.lora.json"
    path.write_text(text)
    kept = AdapterStateFile(path)
    with capture_logs() as logs:
        kept.read()
    assert (kept.added, kept.loaded) == ({}, set())
    assert [log["event"] for log in logs] == [StateFileUnreadable.name]
    assert (tmp_path / "chat.lora.json.unusable").read_text() == text


async def test_change_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    kept = AdapterStateFile(tmp_path / "chat.lora.json")
    await kept.change_added(lambda added: {**added, "a": "/a"})
    (tmp_path / "chat.lora.json.new").mkdir()
    with pytest.raises(IsADirectoryError):
        await kept.change_added(lambda added: {**added, "b": "/b"})
    assert kept.added == {"a": "/a"}
    (tmp_path / "chat.lora.json.new").rmdir()
    await kept.change_added(lambda added: {**added, "c": "/c"})
    after = AdapterStateFile(tmp_path / "chat.lora.json")
    after.read()
    assert after.added == {"a": "/a", "c": "/c"}


async def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    kept = AdapterStateFile(tmp_path / "chat.lora.json")
    async with asyncio.TaskGroup() as tasks:
        for name in "abc":
            tasks.create_task(kept.change_added(functools.partial(operator.or_, {name: name})))
            tasks.create_task(kept.change_loaded(name, owned=True))
        tasks.create_task(kept.change_loaded("b", owned=False))
    after = AdapterStateFile(tmp_path / "chat.lora.json")
    after.read()
    assert (set(after.added), after.loaded) == ({"a", "b", "c"}, {"a", "c"})


async def test_file_that_is_read_late_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chat.lora.json"
    AdapterStateFile(path, {"a": "/a"}, {"a"}).write()
    disk, kept = LateDisk(monkeypatch), AdapterStateFile(path)
    kept.read()
    assert not kept.is_read
    with pytest.raises(OSError, match="not written over"):
        await kept.change_added(lambda added: {**added, "b": "/b"})
    with pytest.raises(OSError, match="not written over"):
        await kept.change_loaded("b", owned=True)
    disk.late = False
    await kept.change_added(lambda added: {**added, "c": "/c"})
    after = AdapterStateFile(path)
    after.read()
    assert (after.added, after.loaded) == ({"a": "/a", "c": "/c"}, {"a", "b"})
