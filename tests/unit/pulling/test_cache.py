from pathlib import Path

import pytest

from vllmd.pulling.cache import ModelCache
from vllmd.pulling.repository import PullError, RemoteFile, Repository

FILE = RemoteFile("deep/a.json", 4, "ab")
MODEL = Repository("org/m", "c1", (FILE,))


def placed(folder: Path, content: bytes = b"abcd") -> ModelCache:
    cache = ModelCache(folder, "org/m")
    cache.blob(FILE).parent.mkdir(parents=True)
    cache.blob(FILE).write_bytes(content)
    return cache


def test_link_of_another_commit_is_put_right(tmp_path: Path) -> None:
    cache = placed(tmp_path)
    path = cache.snapshot(MODEL) / FILE.path
    path.parent.mkdir(parents=True)
    path.symlink_to("../../../blobs/other")
    for _ in range(2):
        cache.link(MODEL, FILE)
        assert path.read_bytes() == b"abcd"


def test_name_of_a_commit_itself_makes_no_ref(tmp_path: Path) -> None:
    cache = placed(tmp_path)
    cache.name(MODEL, "c1")
    assert not (cache.folder / "refs").exists()
    cache.name(MODEL, "refs/pr/1")
    assert (cache.folder / "refs" / "refs" / "pr" / "1").read_text() == "c1"


def test_whole_is_by_the_size_and_bytes_here_by_what_there_is(tmp_path: Path) -> None:
    cache = placed(tmp_path, b"ab")
    assert not cache.is_whole(FILE)
    assert cache.bytes_here(FILE) == 0, "it comes anew"
    cache.blob(FILE).write_bytes(b"abcd")
    assert cache.bytes_here(FILE) == 4
    cache.blob(FILE).unlink()
    assert cache.bytes_here(FILE) == 0
    cache.partial(FILE).write_bytes(b"abcdefgh")
    assert cache.bytes_here(FILE) == 4


def test_lock_that_another_holds_is_told(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, "org/m")
    with (
        cache.locked(FILE),
        pytest.raises(PullError, match=r"somebody else downloads deep/a\.json"),
        cache.locked(FILE),
    ):
        pass
