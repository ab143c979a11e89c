import gzip
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from vllmd.logs import reader
from vllmd.logs.line_times import LineTimes
from vllmd.logs.reader import LogReader, Position, end_of, open_number, read_last


def rotate(log: Path, number: int, *, pack: bool = False) -> None:
    target = log.with_name(f"{log.name}.{number:06d}")
    if pack:
        target.with_name(target.name + ".gz").write_bytes(gzip.compress(log.read_bytes()))
        log.unlink()
    else:
        log.rename(target)


def read_all(reader: LogReader) -> bytes:
    blocks = b""
    while block := reader.read():
        blocks += block
    return blocks


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "a.log"
    path.write_bytes(b"1\n")
    rotate(path, 1, pack=True)
    path.write_bytes(b"2\ntwo\n")
    rotate(path, 2)
    path.write_bytes(b"3\n")
    path.with_name("a.log.000003.times").touch()
    return path


def test_read_goes_through_compressed_rotated_and_current_files(log: Path) -> None:
    reader = LogReader(str(log), Position(1, 0))
    assert read_all(reader) == b"1\n2\ntwo\n3\n"
    assert reader.position == Position(3, 2) == end_of(str(log))
    assert not reader.missed


def test_read_goes_on_from_a_position_in_a_file_compressed_since(log: Path) -> None:
    reader = LogReader(str(log), Position(2, 2))
    log.with_name("a.log.000002.gz").write_bytes(gzip.compress(b"2\ntwo\n", mtime=0))
    log.with_name("a.log.000002").unlink()
    assert read_all(reader) == b"two\n3\n"


def test_read_misses_nothing_that_came_just_before_the_rotation(log: Path) -> None:
    reader = LogReader(str(log), Position(3, 0))
    assert reader.read() == b"3\n"
    with log.open("ab") as file:
        file.write(b"late\n")
    rotate(log, 3)
    log.write_bytes(b"4\n")
    assert read_all(reader) == b"late\n4\n"


def test_read_files_that_were_removed_are_passed_over_and_told(log: Path) -> None:
    reader = LogReader(str(log), Position(1, 0))
    for name in ("a.log.000001.gz", "a.log.000002"):
        log.with_name(name).unlink()
    assert read_all(reader) == b"3\n"
    assert reader.missed


def test_read_what_a_killed_writer_left_without_a_newline_is_not_lost(log: Path) -> None:
    reader = LogReader(str(log), Position(3, 0))
    with log.open("ab") as file:
        file.write(b"half")
    assert reader.read() == b"3\n"
    assert reader.read() == b""
    rotate(log, 3)
    log.write_bytes(b"4\n")
    assert [reader.read(), reader.read()] == [b"half", b"4\n"]


def test_read_half_a_line_waits_and_a_long_one_comes_in_pieces(log: Path) -> None:
    reader = LogReader(str(log), end_of(str(log)))
    with log.open("ab") as file:
        file.write(b"half")
        file.flush()
        assert reader.read() == b""
        file.write(b" done\n" + b"x" * 25 + b"\n")
    assert reader.read(12) == b"half done\n"
    assert [reader.read(12) for _ in range(4)] == [b"x" * 12, b"x" * 12, b"x\n", b""]


def test_read_after_a_foreign_copytruncate_goes_on_with_the_new_number(log: Path) -> None:
    reader = LogReader(str(log), Position(3, 2))
    assert reader.read() == b""
    os.truncate(log, 0)
    log.with_name("a.log.000004.times").touch()  # the shim saw it too
    with log.open("ab") as file:
        file.write(b"n\n")
    assert reader.read() == b""  # as long as before: nothing to see
    with log.open("r+b") as file:
        file.truncate(1)
    assert reader.read() == b""
    with log.open("ab") as file:
        file.write(b"\nnew\n")
    assert reader.read() == b"n\nnew\n"


def test_read_of_nothing_is_nothing(tmp_path: Path) -> None:
    reader = LogReader(str(tmp_path / "none"), Position(1, 0))
    assert reader.read() == b""
    assert open_number(str(tmp_path / "none"), 1) is None
    assert end_of(str(tmp_path / "none")) == Position(1, 0)


def test_open_number_of_a_file_that_is_rotated_just_then_is_that_file(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open, held = reader._open, log.read_bytes()

    def rotated_before(path: str) -> BinaryIO:
        if path == str(log) and not log.with_name("a.log.000003").exists():
            rotate(log, 3)
            log.write_bytes(b"new\n")
        return really_open(path)

    monkeypatch.setattr(reader, "_open", rotated_before)
    file = open_number(str(log), 3)
    assert file is not None
    with file:
        assert file.read() == held


@pytest.mark.parametrize("damage", [b"no gzip", gzip.compress(b"1\n" * 99, mtime=0)[:-9], b""])
def test_read_goes_on_after_a_damaged_file_and_tells(log: Path, damage: bytes) -> None:
    log.with_name("a.log.000001.gz").write_bytes(damage)
    reader = LogReader(str(log), Position(1, 0))
    assert read_all(reader).endswith(b"2\ntwo\n3\n")
    assert reader.missed or damage == b""
    assert read_last(str(log), Position(1, 0), 100)[0] == ["2", "two", "3"]


def test_read_garbage_within_a_compressed_file_is_passed_over(log: Path) -> None:
    packed = bytearray(gzip.compress(os.urandom(5000)))
    packed[100:200] = b"x" * 100
    log.with_name("a.log.000001.gz").write_bytes(packed)
    assert read_all(LogReader(str(log), Position(1, 0))).endswith(b"2\ntwo\n3\n")


def test_read_last_is_over_files_and_bounded(log: Path) -> None:
    assert read_last(str(log), Position(1, 0), 100) == (["1", "2", "two", "3"], Position(1, 0))
    assert read_last(str(log), Position(2, 2), 100) == (["two", "3"], Position(2, 2))
    assert read_last(str(log), Position(1, 0), 6) == (["two", "3"], Position(2, 2))


def test_read_last_begins_with_a_whole_line_unless_there_is_none(log: Path) -> None:
    assert read_last(str(log), Position(1, 0), 5) == (["3"], Position(3, 0))
    log.write_bytes(b"x" * 99 + b"\n")
    assert read_last(str(log), Position(3, 0), 9) == (["x" * 8], Position(3, 91))


def test_read_of_a_log_that_is_a_fifo_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.log")
    os.mkfifo(tmp_path / "a.log.000001.times")
    reader = LogReader(str(tmp_path / "a.log"), Position(1, 0))
    assert reader.read() == b""
    assert read_last(str(tmp_path / "a.log"), Position(1, 0), 100)[0] == []
    assert LineTimes(str(tmp_path / "a.log"), 1).at(0) is None
