"""The host's files, where they are and where they are not."""

from pathlib import Path

from vllmd.cli.host_files import HostFiles


def test_files_and_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("text")
    (tmp_path / "a").mkdir()
    files = HostFiles()
    assert files.read(str(tmp_path / "b")) == "text"
    assert files.names(str(tmp_path)) == ["a", "b"]
    assert files.is_folder(str(tmp_path / "a"))


def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    files = HostFiles()
    for path in ("x", "none", "a\0b"):
        assert files.read(str(tmp_path / path)) is None
    assert list(files.names(str(tmp_path / "none"))) == []
    assert not files.is_folder(f"{tmp_path}\0")
