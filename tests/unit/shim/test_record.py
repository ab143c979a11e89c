import os
from pathlib import Path

import pytest

from vllmd.shim.record import read_record, sync_folder, write_record


def test_record_survives(tmp_path: Path) -> None:
    path = str(tmp_path / "r.json")
    write_record(path, {"a": 1})
    write_record(path, {"a": 2})
    assert read_record(path) == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize(
    "content", [b"", b'{"a": ', b"[1]", b"\x00\xff", b"[" * 100_000, b'{"a": 1e999}']
)
def test_read_record_garbage_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content)
    assert read_record(str(path)) is None


def test_read_record_of_a_fifo_is_none_and_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.json")
    assert read_record(str(tmp_path / "r.json")) is None


def test_write_record_where_a_fifo_is_in_the_way_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.json.new")
    with pytest.raises(OSError, match="No such device"):
        write_record(str(tmp_path / "r.json"), {"a": 1})


def test_read_record_missing_is_none(tmp_path: Path) -> None:
    assert read_record(str(tmp_path / "none")) is None


def test_write_record_failing_leaves_the_old_one(tmp_path: Path) -> None:
    path = str(tmp_path / "r.json")
    write_record(path, {"a": 1})
    with pytest.raises(TypeError):
        write_record(path, {"a": object()})
    assert read_record(path) == {"a": 1}


def test_write_record_file_then_name_are_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(fd: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    def replaced(source: str, target: str) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    path = tmp_path / "a.json"
    write_record(str(path), {"a": 1})
    assert done == [f"{path}.new", "replace", str(tmp_path)]
    write_record(str(path), {"a": 2}, sync=False)
    assert done[3:] == ["replace"]
    open_fds = len(os.listdir("/proc/self/fd"))
    write_record(str(path), {"a": 3})
    assert len(os.listdir("/proc/self/fd")) == open_fds


def test_sync_folder_that_is_not_there_or_cannot_be_synced_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_folder(str(tmp_path / "none" / "a.json"))

    def refuses(_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuses)
    sync_folder(str(tmp_path / "a.json"))
