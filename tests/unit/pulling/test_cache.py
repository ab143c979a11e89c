import os
from pathlib import Path

import pytest

from vllmd.pulling.cache import ModelCache
from vllmd.pulling.repository import PullError, RemoteFile, Repository

FILE = RemoteFile("deep/a.json", 4, "ab")
MODEL = Repository("org/m", "c1", (FILE,))


def placed(folder: Path, content: bytes = b"abcd") -> ModelCache:
    cache = ModelCache(folder, "org/m")
    cache.make(cache.blob(FILE).parent)
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
    assert cache.bytes_here(FILE) == 2
    cache.blob(FILE).unlink()
    assert cache.bytes_here(FILE) == 0
    cache.partial(FILE).write_bytes(b"abcdefgh")
    assert cache.bytes_here(FILE) == 4


def test_what_root_makes_belongs_to_whoever_has_the_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, tuple[int, int]] = {}

    def chown(path: Path, user: int, group: int, *, follow_symlinks: bool) -> None:
        assert not follow_symlinks
        given[str(path.relative_to(tmp_path))] = (user, group)

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    cache = placed(tmp_path / "hf" / "hub")
    cache.link(MODEL, FILE)
    model = "hf/hub/models--org--m"
    assert {"hf", "hf/hub", model, f"{model}/snapshots/c1/deep/a.json"} <= given.keys()
    above = tmp_path.stat()
    assert set(given.values()) == {(above.st_uid, above.st_gid)}
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    given.clear()
    placed(tmp_path / "own")
    assert given == {}


def test_lock_that_another_holds_is_told(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, "org/m")
    with (
        cache.locked(FILE),
        pytest.raises(PullError, match=r"somebody else downloads deep/a\.json"),
        cache.locked(FILE),
    ):
        pass
