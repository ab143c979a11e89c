import os
from pathlib import Path

import pytest

from vllmd.shim.output import Output


def test_drain_appends_to_the_log_and_keeps_the_tail(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"before\n")
    output = Output(str(log), 100)
    os.write(output.write_fd, b"one\ntwo \xff\nthree")
    assert output.drain()
    assert log.read_bytes() == b"before\none\ntwo \xff\nthree"
    assert output.log_offset == 7
    assert output.tail(2) == ["two \ufffd", "three"]
    assert output.tail(0) == []


def test_drain_tail_is_bounded_and_starts_with_a_whole_line(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "a.log"), 10)
    os.write(output.write_fd, b"aaaaaaaa\nbbb\nccc\n")
    output.drain()
    assert output.tail(9) == ["bbb", "ccc"]


def test_drain_after_the_last_writer_reports_the_end(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "a.log"), 10)
    assert output.drain()
    os.write(output.write_fd, b"x" * 1000)
    os.close(output.write_fd)
    output.drain_all()
    assert output.bytes == 1000
    assert not output.drain()


def test_drain_full_disk_counts_what_is_lost_and_never_stops() -> None:
    output = Output("/dev/full", 100)
    os.write(output.write_fd, b"lost\n")
    output.drain()
    assert output.lost_bytes == 5
    assert output.tail(1) == ["lost"]


def test_output_log_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Output(str(tmp_path / "none" / "a.log"), 10)
