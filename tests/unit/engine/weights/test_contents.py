import os
from pathlib import Path

import pytest

from vllmd.engine.weights import contents
from vllmd.engine.weights.contents import ContentsReader, difference
from vllmd.util.units import MIB


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(4 * MIB))
    return tmp_path


@pytest.mark.parametrize("whole", [False, True])
def test_read_twice_is_the_same(model: Path, whole: bool) -> None:
    before = ContentsReader().read([model], whole=whole)
    assert len(before) == 2
    assert difference(before, ContentsReader().read([model], whole=whole)) is None


@pytest.mark.parametrize("offset", [0, 2 * MIB, 4 * MIB - 1])
@pytest.mark.parametrize("whole", [False, True])
def test_byte_that_is_written_with_the_times_set_back_is_seen(
    model: Path, offset: int, whole: bool
) -> None:
    path = model / "model.safetensors"
    about = path.stat()
    reader = ContentsReader()
    before = reader.read([model], whole=whole)
    block = offset - offset % contents.BLOCK_BYTES
    with path.open("r+b") as file:
        file.seek(block)
        file.write(b"\1" * contents.BLOCK_BYTES * 4)
    if path.stat().st_size > about.st_size:
        os.truncate(path, about.st_size)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert difference(before, reader.read([model], whole=whole)) == f"{path} changed"


def test_same_bytes_in_a_new_file_are_other_by_blocks_and_the_same_as_a_whole(model: Path) -> None:
    path = model / "model.safetensors"
    quick, full = (ContentsReader().read([model], whole=whole) for whole in (False, True))
    data = path.read_bytes()
    path.unlink()
    (model / "other").write_text("keeps the inode from being used again")
    path.write_bytes(data)
    (model / "other").unlink()
    assert difference(quick, ContentsReader().read([model], whole=False)) == f"{path} changed"
    assert difference(full, ContentsReader().read([model], whole=True)) is None


def test_byte_between_the_blocks_is_seen_as_a_whole(model: Path) -> None:
    path = model / "model.safetensors"
    full = ContentsReader().read([model], whole=True)
    with path.open("r+b") as file:
        file.seek(contents.BLOCK_BYTES + 5)
        file.write(b"\1")
    assert difference(full, ContentsReader().read([model], whole=True)) == f"{path} changed"


def test_links_are_followed_and_files_that_come_and_go_are_named(model: Path) -> None:
    (model / "blobs").mkdir()
    (model / "blobs" / "a").write_text("1")
    (model / "tokenizer.json").symlink_to(model / "blobs" / "a")
    before = ContentsReader().read([model], whole=False)
    (model / "blobs" / "a").write_text("2")
    now = ContentsReader().read([model], whole=False)
    assert difference(before, now) == f"{model}/tokenizer.json changed"
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json is gone" in str(
        difference(now, ContentsReader().read([model], whole=False))
    )
    assert "tokenizer.json is new" in str(
        difference(ContentsReader().read([model], whole=False), now)
    )


def test_file_that_did_not_change_is_read_once(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ContentsReader()
    before = reader.read([model], whole=True)
    monkeypatch.setattr(contents, "_whole", lambda _: pytest.fail("it was read again"))
    assert reader.read([model], whole=True) == before
