import gzip
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from vllmd.bundle.anonymous import Anonymizer
from vllmd.bundle.contents import (
    INCIDENTS,
    MAX_LOG_BYTES,
    about_host,
    incident_files,
    log_files,
    write_archive,
)
from vllmd.shim.files import UnusableFileError
from vllmd.util.redact import Redactor


def test_about_host_has_versions_and_no_name() -> None:
    about = json.loads(about_host())
    assert about["python"].startswith("3.")
    assert "node" not in about


def test_incident_files_are_the_latest_unpacked(tmp_path: Path) -> None:
    for n in range(INCIDENTS + 2):
        (tmp_path / f"{n:02d}-chat").mkdir()
        (tmp_path / f"{n:02d}-chat" / "metrics.txt.gz").write_bytes(gzip.compress(b"x 1"))
    found = dict(incident_files(tmp_path))
    assert len(found) == INCIDENTS
    assert found["incidents/11-chat/metrics.txt"] == "x 1"
    assert list(incident_files(tmp_path / "none")) == []


def test_log_files_are_the_ends_of_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "chat.log").write_bytes(b"a" * MAX_LOG_BYTES + b"\xffend")
    ((name, text),) = log_files(tmp_path, ["chat", "embed"])
    assert (name, len(text)) == ("logs/chat.log", MAX_LOG_BYTES)
    assert text.endswith("end")


def test_write_archive_cleans_names_and_contents_and_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    clean = Anonymizer(Redactor(), ["ann"], [])
    files = [("logs/ann.log", "by ann"), ("a.txt", "b")]
    assert write_archive(target, iter(files), clean) == ["logs/ann.log", "a.txt"]
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["b/logs/USER.log", "b/a.txt"]
        content = archive.extractfile("b/logs/USER.log")
        assert content is not None
        assert content.read() == b"by USER"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_archive(target, iter(files), clean)


def test_incident_files_that_are_none_or_damaged_are_said(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    os.mkfifo(tmp_path / "1" / "a.txt")
    (tmp_path / "1" / "b.gz").write_bytes(gzip.compress(b"text" * 1000)[:-20])
    (tmp_path / "1" / "c.txt").write_text("whole")
    a, b, c = (content for _, content in incident_files(tmp_path))
    assert a == "vllmd could not read it: it is a FIFO, not a regular file\n"
    assert b.startswith("vllmd could not unpack it: ")
    assert c == "whole"


def test_log_files_in_whose_place_a_fifo_is_are_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "chat.log")
    with pytest.raises(UnusableFileError):
        list(log_files(tmp_path, ["chat"]))
