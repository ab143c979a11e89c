from pathlib import Path

from vllmd.engine.follow import LAST_BYTES, LogFollower, read_last_lines


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


def test_read_last_lines_are_those_of_the_run_only(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"old\none\ntwo \xff\n")
    assert read_last_lines(str(log), 4) == ["one", "two \ufffd"]
    log.write_bytes(b"old\n" + b"x" * LAST_BYTES + b"\nlast\n")
    assert read_last_lines(str(log), 0)[-1] == "last"
    assert sum(map(len, read_last_lines(str(log), 0))) < LAST_BYTES
    assert read_last_lines(str(tmp_path / "none"), 0) == []
