import gzip
import os
from pathlib import Path

import pytest

from vllmd.logs.compress import Compressor


def make(folder: Path, *names: str) -> str:
    for name in names:
        (folder / f"a.log{name}").write_bytes(f"of {name}\n".encode() * 1000)
    return str(folder / "a.log")


def names(folder: Path) -> list[str]:
    return sorted(p.name.removeprefix("a.log") for p in folder.iterdir())


def test_run_compresses_all_but_the_newest_rotated_file(tmp_path: Path) -> None:
    log = make(tmp_path, "", ".000001", ".000002", ".000003")
    os.chmod(tmp_path / "a.log.000001", 0o640)
    os.utime(tmp_path / "a.log.000001", (1000, 1000))
    assert Compressor(log).run() == 2
    assert names(tmp_path) == ["", ".000001.gz", ".000002.gz", ".000003"]
    packed = tmp_path / "a.log.000001.gz"
    assert gzip.decompress(packed.read_bytes()) == b"of .000001\n" * 1000
    assert packed.stat().st_mode & 0o777 == 0o640
    assert packed.stat().st_mtime == 1000
    assert Compressor(log).run() == 0


def test_run_after_a_kill_ends_what_was_begun(tmp_path: Path) -> None:
    log = make(tmp_path, "", ".000001", ".000002", ".000002.gz", ".000003", ".000001.gz.new")
    assert Compressor(log).run() == 1
    assert names(tmp_path) == ["", ".000001.gz", ".000002.gz", ".000003"]


def test_run_gzip_that_fails_leaves_the_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make(tmp_path, "", ".000001", ".000002")
    (tmp_path / "gzip").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "gzip").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    compressor = Compressor(log)
    assert compressor.run() == 0
    assert compressor.problem == f"{log}.000001: gzip ended with 3"
    assert names(tmp_path)[:3] == ["", ".000001", ".000002"]


def test_close_breaks_off(tmp_path: Path) -> None:
    compressor = Compressor(make(tmp_path, "", ".000001", ".000002"))
    compressor.close()
    assert compressor.run() == 0
