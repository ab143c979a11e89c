"""The one rule for small JSON files: what each kind of damage costs, and what it does not."""

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.helpers.late_disk import LateDisk
from vllmd.events.daemon import StateFileNotWritten, StateFileUnreadable
from vllmd.shim import record as record_module
from vllmd.util import state_file
from vllmd.util.disk_thread import DiskWork, Work, at_once
from vllmd.util.state_file import FOR_THE_MOMENT, NotRead, StateFile


def made(path: Path, *, do: DiskWork = at_once, sync: bool = True, version: int = 1) -> StateFile:
    return StateFile(
        path,
        if_unusable="counts begin anew",
        if_not_written="counts are lost",
        version=version,
        do=do,
        sync=sync,
        folder_mode=0o700,
    )


def count(record: Mapping[str, Any]) -> int:
    return int(record["count"])


def test_read_returns_what_was_saved_with_its_version(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "f.json"
    made(path).save({"count": 3})
    assert made(path).read(count) == 3
    assert json.loads(path.read_text()) == {"version": 1, "count": 3}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["f.json", "gone/f.json", "file/f.json"])
def test_read_of_no_file_is_none_and_says_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        assert made(tmp_path / name).read(count) is None
    assert logs == []


DAMAGED = {
    "": "Expecting value",
    "[]": "it is no JSON object",
    '{"count"': "Expecting ':'",
    "{}": "KeyError: 'count'",
    '{"count": []}': "TypeError",
    '{"count": "x"}': "ValueError",
    '{"count": NaN}': "NaN is no JSON",
    "[" * 100_000: "nested deeper",
    '{"version": 7}': "(its version is 7, that of this vllmd 1)",
}


@pytest.mark.parametrize(("text", "problem"), DAMAGED.items(), ids=[t[:20] for t in DAMAGED])
def test_read_puts_aside_what_cannot_be_used_and_says_so_once(
    tmp_path: Path, text: str, problem: str
) -> None:
    path, aside = tmp_path / "f.json", tmp_path / "f.json.unusable"
    path.write_text(text)
    with capture_logs() as logs:
        assert made(path).read(count) is None
        assert made(path).read(count) is None
    (said,) = logs
    assert (said["event"], said["path"]) == (StateFileUnreadable.name, str(path))
    assert problem in said["problem"]
    assert said["consequence"] == f"counts begin anew; it is kept as {aside}"
    assert aside.read_text() == text
    made(path).save({"count": 1})
    assert made(path).read(count) == 1


def test_read_of_the_same_version_says_nothing_of_versions(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"version": 1}')
    with capture_logs() as logs:
        assert made(tmp_path / "f.json").read(count) is None
    assert logs[0]["problem"] == "KeyError: 'count'"


@pytest.mark.parametrize("version", [None, 1, 2])
def test_read_of_another_version_takes_what_it_knows(tmp_path: Path, version: int | None) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"version": version, "count": 3, "more": {}}))
    assert made(path).read(count) == 3


def test_read_puts_a_fifo_aside_and_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    os.mkfifo(path)
    with capture_logs() as logs:
        assert made(path).read(count) is None
    assert "it is a FIFO" in logs[0]["problem"]
    made(path).save({"count": 1})
    assert made(path).read(count) == 1


def test_read_of_what_cannot_be_set_aside_says_that_too(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text("{")
    (tmp_path / "f.json.unusable").mkdir()
    with capture_logs() as logs:
        assert made(path).read(count) is None
    assert logs[0]["consequence"] == (
        "counts begin anew; it could not be set aside: Is a directory"
    )


def test_read_lets_a_mistake_of_ours_through(tmp_path: Path) -> None:
    def parse(_: Mapping[str, Any]) -> int:
        raise AssertionError

    made(tmp_path / "f.json").save({"count": 1})
    with pytest.raises(AssertionError):
        made(tmp_path / "f.json").read(parse)
    assert made(tmp_path / "f.json").read(count) == 1


def test_save_that_fails_is_said_once_until_it_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("in the way")
    file = made(folder / "f.json")
    with capture_logs() as logs:
        file.save({"count": 1})
        file.save({"count": 2})
        assert [each["event"] for each in logs] == [StateFileNotWritten.name]
        assert logs[0]["consequence"] == "counts are lost"
        assert file.problem == logs[0]["problem"]
        folder.unlink()
        file.save({"count": 3})
        assert file.problem is None
        (folder / "f.json.new").mkdir()
        file.save({"count": 4})
    assert len(logs) == 2
    assert made(folder / "f.json").read(count) == 3


def test_write_that_fails_raises_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    made(path).write({"count": 1})
    (tmp_path / "f.json.new").mkdir()
    with pytest.raises(IsADirectoryError):
        made(path).write({"count": 2})
    assert made(path).read(count) == 1


@pytest.mark.parametrize("sync", [True, False])
def test_file_is_synced_if_a_power_cut_may_not_cost_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    seen: list[bool] = []

    def write_record(path: str, record: object, *, sync: bool) -> None:
        seen.append(sync)
        record_module.write_record(path, record, sync=sync)

    monkeypatch.setattr(state_file, "write_record", write_record)
    made(tmp_path / "f.json", sync=sync).save({"count": 1})
    assert seen == [sync]


def test_forget_removes_the_file_and_is_no_mistake_twice(tmp_path: Path) -> None:
    file = made(tmp_path / "f.json")
    file.save({"count": 1})
    file.forget()
    file.forget()
    assert not list(tmp_path.iterdir())


async def test_saved_does_not_wait_for_what_was_forgotten_before_it_was_written(
    tmp_path: Path,
) -> None:
    queue: dict[str | None, Work] = {}

    def put(work: Work, key: str | None = None, /) -> None:
        queue[key] = work

    file = StateFile(tmp_path / "a.json", if_unusable="", if_not_written="", do=put)
    file.save({"a": 1})
    file.forget()
    for work in queue.values():
        work()
    await asyncio.wait_for(file.saved(60), 5)
    assert not file.path.exists()


async def test_saved_waits_for_the_newest_and_not_for_ever(tmp_path: Path) -> None:
    works: list[Work] = []
    file = made(tmp_path / "f.json", do=lambda work, _key=None, /: works.append(work))
    await file.saved(60)  # nothing is to be written
    file.save({"count": 1})
    await file.saved(0.02)
    assert not (tmp_path / "f.json").exists()
    file.save({"count": 2})
    works.pop(0)()
    waiting = asyncio.create_task(file.saved(60))
    while not (file._changed._waiters or waiting.done()):  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert not waiting.done()  # the newer one is still to come
    works.pop(0)()
    await asyncio.wait_for(waiting, 20)
    file.save({"count": 3})
    (tmp_path / "f.json.new").mkdir()
    works.pop(0)()
    await asyncio.wait_for(file.saved(60), 20)  # refused: nothing more will come
    assert file.read(count) == 2


def test_read_from_a_disk_that_hangs_is_not_read_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "f.json").save({"count": 3})
    file, disk = made(tmp_path / "f.json"), LateDisk(monkeypatch)
    with capture_logs() as told:
        for _ in range(3):
            assert isinstance(file.read(count), NotRead)
    assert [each["event"] for each in told] == [StateFileUnreadable.name]
    assert told[0]["consequence"] == "it is left as it is, and read again"
    disk.late = False
    assert file.read(count) == 3
    assert file.unread is None


@pytest.mark.parametrize("number", sorted(FOR_THE_MOMENT))
def test_error_that_says_nothing_of_the_file_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(path: Path) -> object:
        raise OSError(number, os.strerror(number), str(path))

    made(tmp_path / "f.json").save({"count": 3})
    with monkeypatch.context() as patch:
        patch.setattr(state_file, "read_json", fails)
        assert isinstance(made(tmp_path / "f.json").read(count), NotRead)
    assert made(tmp_path / "f.json").read(count) == 3
    assert not (tmp_path / "f.json.unusable").exists()


def test_file_that_was_not_read_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.json"
    made(path).save({"count": 3})
    file, disk = made(path), LateDisk(monkeypatch)
    assert isinstance(file.read(count), NotRead)
    with capture_logs() as told:
        file.save({"count": 1})
    assert [each["event"] for each in told] == [StateFileNotWritten.name]
    assert "could not be read" in told[0]["problem"]
    with pytest.raises(OSError, match="not written over"):
        file.write({"count": 1})
    disk.late = False
    assert file.read(count) == 3
    file.save({"count": 4})
    assert made(path).read(count) == 4


def test_file_that_was_not_read_is_written_over_by_what_says_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.json"
    made(path).save({"count": 3})
    file = StateFile(path, if_unusable="", if_not_written="", replaces=True)
    disk = LateDisk(monkeypatch)
    assert isinstance(file.read(count), NotRead)
    file.save({"count": 1})
    disk.late = False
    assert file.read(count) == 1


def test_file_that_was_forgotten_may_be_written_though_it_was_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path / "f.json")
    file.save({"count": 3})
    disk = LateDisk(monkeypatch)
    assert isinstance(file.read(count), NotRead)
    file.forget()
    file.save({"count": 1})
    disk.late = False
    assert file.read(count) == 1
