import sys
from pathlib import Path

import pytest

from vllmd.errors import InstallError
from vllmd.installing import uv_program


def test_named_uv_comes_first_and_must_run(tmp_path: Path) -> None:
    own = tmp_path / "uv"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    assert uv_program.find(tmp_path, str(own)) == own
    with pytest.raises(InstallError, match="--uv '/no/uv' is no program"):
        uv_program.find(tmp_path, "/no/uv")


def test_uv_is_found_on_path_or_where_it_was_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert uv_program.find(tmp_path) is None
    brought = tmp_path / ".uv" / "bin" / "uv"
    brought.parent.mkdir(parents=True)
    brought.write_text("#!/bin/sh\n")
    brought.chmod(0o755)
    assert uv_program.find(tmp_path) == brought
    monkeypatch.setenv("PATH", str(brought.parent))
    assert uv_program.find(tmp_path / "other") == brought


def test_uv_that_cannot_be_brought_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InstallError, match=r"pipx install uv.*log says more"):
        uv_program.bring(tmp_path, tmp_path / "log")
    monkeypatch.setattr(sys, "executable", "/no/python")
    with pytest.raises(InstallError, match="pipx install uv"):
        uv_program.bring(tmp_path, tmp_path / "log")


def test_lock_of_uv_has_one_version_and_hashes() -> None:
    lines = (uv_program.PACKAGE / "uv.txt").read_text().splitlines()
    assert sum(line.startswith("uv==") for line in lines) == 1
    assert sum("--hash=sha256:" in line for line in lines) > 5
