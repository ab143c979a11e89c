import errno
import threading
from pathlib import Path

import pytest

from tests.helpers.site import wait_for
from vllmd.shim.internal_errors import InternalErrors
from vllmd.shim.logfile import LogFile
from vllmd.shim.protocol import ROTATION
from vllmd.shim.writer import Writer, gap_mark


class Disk(LogFile):
    """A log on a disk that can be full, or stand still."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), ROTATION)
        self.room = 1 << 30
        self.moves = threading.Event()
        self.moves.set()
        self.is_closed = False

    def close(self) -> None:
        super().close()
        self.is_closed = True

    def write(self, part: memoryview, at: float) -> int:
        self.moves.wait()
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = super().write(part[: self.room], at)
        self.room -= written
        return written


def test_put_a_disk_that_stands_still_drops_by_the_line_and_marks_the_gap(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a.log")
    writer = Writer(disk, buffer_bytes=20)
    disk.moves.clear()
    for number in range(6):
        writer.put(b"line %d\nx\n" % number)  # 9 bytes: two fit
    assert (writer.dropped_lines, writer.dropped_bytes) == (8, 36)
    disk.moves.set()
    wait_for("all is written", lambda: writer._queued == 0)
    writer.put(b"after\n")
    writer.close(5)
    mark = gap_mark(8, 36, "the disk was too slow")
    kept = b"line 0\nx\nline 1\nx\n" + mark + b"after\n"
    assert (tmp_path / "a.log").read_bytes() == kept


def test_put_full_disk_loses_nothing_that_fits_the_buffer(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a.log")
    writer = Writer(disk, buffer_bytes=1000)
    disk.room = 0
    writer.put(b"one\n")
    writer.put(b"two\n")
    wait_for("the disk", lambda: writer.problem == "No space left on device")
    disk.room = 1000
    wait_for("the disk", lambda: writer.problem is None)
    writer.close(5)
    assert (tmp_path / "a.log").read_bytes() == b"one\ntwo\n"
    assert writer.dropped_lines == 0


def test_close_disk_that_stays_full_counts_what_is_left_and_leaves_whole_lines(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path / "a.log")
    writer = Writer(disk, buffer_bytes=1000)
    disk.room = 6
    writer.put(b"one\ntwo\nthree\n")
    writer.put(b"four\n")
    wait_for("the disk is full", lambda: writer.problem is not None)
    writer.close(0.1)
    assert (tmp_path / "a.log").read_bytes() == b"one\n"
    assert (writer.dropped_lines, writer.dropped_bytes) == (3, len(b"two\nthree\nfour\n"))


def test_rotate_is_done_once_and_not_for_an_empty_file(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a.log")
    writer = Writer(disk)
    writer.rotate()
    writer.put(b"one\n")
    wait_for("all is written", lambda: disk.size == 4)
    writer.rotate()
    wait_for("it is rotated", lambda: disk.rotations == 1)
    writer.close(5)
    assert (tmp_path / "a.log.000001").read_bytes() == b"one\n"


@pytest.mark.parametrize("mistakes", [InternalErrors(), None])
def test_put_a_mistake_of_our_own_loses_a_block_counts_it_and_goes_on(
    tmp_path: Path, mistakes: InternalErrors | None
) -> None:
    class Broken(Disk):
        def write(self, part: memoryview, at: float) -> int:
            if bytes(part) == b"two\n":
                raise ZeroDivisionError
            return super().write(part, at)

    writer = Writer(Broken(tmp_path / "a.log"), errors=mistakes)
    for block in (b"one\n", b"two\n"):
        writer.put(block)
    wait_for("both are dealt with", lambda: writer._queued == 0)
    writer.put(b"three\n")
    writer.close(5)
    assert (writer.dropped_lines, writer.dropped_bytes) == (1, 4)
    one, gap, three = (tmp_path / "a.log").read_text().splitlines()
    assert (one, three) == ("one", "three")
    assert gap.startswith("[vllmd] 1 lines (4 bytes) are missing here: ")
    assert mistakes is None or mistakes.count == 1


def test_put_a_block_that_is_larger_than_the_buffer_is_taken_if_nothing_waits(
    tmp_path: Path,
) -> None:
    writer = Writer(Disk(tmp_path / "a.log"), buffer_bytes=4)
    writer.put(b"longer than that\n")
    writer.close(5)
    assert writer.dropped_lines == 0
    assert (tmp_path / "a.log").read_bytes() == b"longer than that\n"


def test_close_lets_go_of_the_file_unless_the_disk_holds_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a.log")
    Writer(disk).close(5)
    assert disk.is_closed
    stuck = Disk(tmp_path / "b.log")
    stuck.moves.clear()
    writer = Writer(stuck)
    writer.put(b"one\n")
    writer.close(0)
    assert not stuck.is_closed
    stuck.moves.set()
    writer._thread.join(20)
    assert writer._errors.count == 0
