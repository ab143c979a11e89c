from pathlib import Path

import pytest

from vllmd.logs.copied import Copied, CopiedFile
from vllmd.logs.reader import Position

END = Position(3, 1 << 40)


def test_what_was_written_is_read_by_the_next(tmp_path: Path) -> None:
    file = CopiedFile(tmp_path / "folder" / "chat")
    assert file.read() is None
    file.write(Position(0, 1))
    file.write(END, begun=True)
    assert CopiedFile(tmp_path / "folder" / "chat").read() == Copied(END, begun=True)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 99])
def test_what_is_no_record_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "chat").write_bytes(content)
    assert CopiedFile(tmp_path / "chat").read() is None


def test_file_system_that_takes_nothing_leaves_no_old_record(tmp_path: Path) -> None:
    """A record that is not renewed would have lines come twice, or not at all."""
    path = tmp_path / "chat"
    CopiedFile(path).write(END)
    path.rename(tmp_path / "before")
    path.symlink_to("/dev/full")
    CopiedFile(path).write(END)
    assert not path.is_symlink()


def test_closed_one_writes_nothing_and_one_that_is_forgotten_is_gone(tmp_path: Path) -> None:
    file = CopiedFile(tmp_path / "chat")
    file.write(END)
    file.close()
    file.write(Position(9, 9))
    assert CopiedFile(tmp_path / "chat").read() == Copied(END, begun=False)
    file.forget()
    file.forget()
    assert CopiedFile(tmp_path / "chat").read() is None
