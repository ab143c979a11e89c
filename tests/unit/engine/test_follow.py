from pathlib import Path

from vllmd.engine.follow import LogFollower


def test_read_lines_gives_whole_lines_once(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"old\none\ntw")
    follower = LogFollower(str(log), 4)
    assert follower.read_lines() == ["one"]
    with log.open("ab") as file:
        file.write(b"o\nthree\n")
    assert follower.read_lines() == ["two", "three"]
    assert follower.read_lines() == []


def test_read_lines_shorter_file_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"a long line\n")
    follower = LogFollower(str(log), 0)
    follower.read_lines()
    log.write_bytes(b"new\n")
    assert follower.read_lines() == ["new"]


def test_read_lines_missing_file_is_nothing(tmp_path: Path) -> None:
    assert LogFollower(str(tmp_path / "none"), 0).read_lines() == []
