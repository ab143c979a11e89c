from pathlib import Path

from vllmd.pulling.cache import ModelCache
from vllmd.pulling.repository import RemoteFile
from vllmd.pulling.share import Share, share_of

FILES = [RemoteFile("a", 10, "aa"), RemoteFile("b", 20, "bb"), RemoteFile("c", 30, "cc")]


def test_share_counts_whole_files_and_parts_of_anybody(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path, "org/m")
    assert (share_of(cache, FILES), cache.has_parts()) == (Share(0, 60), False)
    blobs = cache.blob(FILES[0]).parent
    blobs.mkdir(parents=True)
    (blobs / "aa").write_bytes(b"x" * 10)
    (blobs / "bb.12345678.incomplete").write_bytes(b"x" * 5)
    (blobs / "cc.incomplete").write_bytes(b"x" * 50)
    assert (share_of(cache, FILES), cache.has_parts()) == (Share(10 + 5 + 30, 60), True)
    assert share_of(cache, []) == Share(0, 0)
