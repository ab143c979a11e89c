from pathlib import Path

from vllmd.status.filesystems import look


def test_look_tells_the_room_and_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    (found,) = look({"state": tmp_path, "logs": tmp_path / "gone"})
    assert (found.role, found.folder) == ("state", str(tmp_path))
    assert 0 < found.avail_bytes <= found.size_bytes
