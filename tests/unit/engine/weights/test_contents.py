import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from vllmd.engine.weights import contents
from vllmd.engine.weights.contents import Contents, ContentsReader, difference
from vllmd.util.units import MIB


def read(folder: Path, *, whole: bool, reader: ContentsReader | None = None) -> Contents:
    reading = (reader or ContentsReader()).begin(lambda: [folder], whole=whole)
    while not reading.step():
        pass
    return reading.contents


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(4 * MIB))
    return tmp_path


@pytest.mark.parametrize("whole", [False, True])
def test_read_twice_is_the_same(model: Path, whole: bool) -> None:
    before = read(model, whole=whole)
    assert len(before) == 2
    assert difference(before, read(model, whole=whole)) is None


@pytest.mark.parametrize("offset", [0, 2 * MIB, 4 * MIB - 1])
@pytest.mark.parametrize("whole", [False, True])
def test_byte_that_is_written_with_the_times_set_back_is_seen(
    model: Path, offset: int, whole: bool
) -> None:
    path = model / "model.safetensors"
    about = path.stat()
    reader = ContentsReader()
    before = read(model, whole=whole, reader=reader)
    block = offset - offset % contents.BLOCK_BYTES
    with path.open("r+b") as file:
        file.seek(block)
        file.write(b"\1" * contents.BLOCK_BYTES * 4)
    if path.stat().st_size > about.st_size:
        os.truncate(path, about.st_size)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert difference(before, read(model, whole=whole, reader=reader)) == f"{path} changed"


def test_same_bytes_in_a_new_file_are_other_by_blocks_and_the_same_as_a_whole(model: Path) -> None:
    path = model / "model.safetensors"
    quick, full = (read(model, whole=whole) for whole in (False, True))
    data = path.read_bytes()
    path.unlink()
    (model / "other").write_text("keeps the inode from being used again")
    path.write_bytes(data)
    (model / "other").unlink()
    assert difference(quick, read(model, whole=False)) == f"{path} changed"
    assert difference(full, read(model, whole=True)) is None


def test_byte_between_the_blocks_is_seen_as_a_whole(model: Path) -> None:
    path = model / "model.safetensors"
    full = read(model, whole=True)
    with path.open("r+b") as file:
        file.seek(contents.BLOCK_BYTES + 5)
        file.write(b"\1")
    assert difference(full, read(model, whole=True)) == f"{path} changed"


def test_links_are_followed_and_files_that_come_and_go_are_named(model: Path) -> None:
    (model / "blobs").mkdir()
    (model / "blobs" / "a").write_text("1")
    (model / "tokenizer.json").symlink_to(model / "blobs" / "a")
    before = read(model, whole=False)
    (model / "blobs" / "a").write_text("2")
    now = read(model, whole=False)
    assert difference(before, now) == f"{model}/tokenizer.json changed"
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json is gone" in str(difference(now, read(model, whole=False)))
    assert "tokenizer.json is new" in str(difference(read(model, whole=False), now))


def test_file_that_did_not_change_is_read_once(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ContentsReader()
    before = read(model, whole=True, reader=reader)
    monkeypatch.setattr(contents, "_whole", lambda _: pytest.fail("it was read again"))
    assert read(model, whole=True, reader=reader) == before


@pytest.mark.parametrize("size", [1, 3 * MIB, 9 * MIB])
def test_step_is_bounded_and_all_of_them_read_all(
    model: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(contents, "CHUNK_BYTES", MIB)
    monkeypatch.setattr(contents, "STEP_BYTES", 2 * MIB)
    (model / "model.safetensors").write_bytes(bytes(size))
    reading = ContentsReader().begin(lambda: [model], whole=True)
    steps, read_bytes = 0, [0]
    chunks = contents._whole

    def counted(file: BinaryIO) -> Iterator[bytes]:
        for block in chunks(file):
            read_bytes[-1] += len(block)
            yield block

    monkeypatch.setattr(contents, "_whole", counted)
    while not reading.step():
        steps += 1
        read_bytes.append(0)
    assert max(read_bytes) <= 3 * MIB, "what a step may read, and a chunk more"
    assert sum(read_bytes) == size + 2
    assert steps >= size // (3 * MIB)
    assert reading.contents == read(model, whole=True)
