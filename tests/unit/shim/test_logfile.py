import contextlib
import errno
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from vllmd.shim import logfile, logfiles
from vllmd.shim.logfile import LogFile
from vllmd.shim.protocol import ROTATION, Rotation

NOON = time.mktime((2026, 11, 24, 12, 0, 0, 0, 0, -1))
DAY_S = 86400.0
STAMP_BYTES = len(f"0 {NOON:.2f}\n")


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "CHECK_S", 0.0)


def rotation(max_bytes: int = 1000, period: str = "daily", keep: int = 99) -> Rotation:
    return {**ROTATION, "max_bytes": max_bytes, "period": period, "keep": keep}


def write(file: LogFile, data: bytes, at: float = NOON) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view, at) :]


def on_disk(log: Path) -> dict[str, bytes]:
    return {
        p.name.removeprefix(log.name): p.read_bytes()
        for p in sorted(log.parent.iterdir())
        if not p.name.endswith(".times")
    }


def test_write_rotates_by_size_at_line_boundaries(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation(max_bytes=10 + STAMP_BYTES))
    write(file, b"1234\n5678\n90\n")
    write(file, b"a line " + b"longer " * 9 + b"than a file\nx\n")
    assert on_disk(log) == {
        ".000001": b"1234\n5678\n",
        ".000002": b"90\n",
        ".000003": b"a line " + b"longer " * 9 + b"than a file\n",
        "": b"x\n",
    }
    assert file.rotations == 3
    assert os.stat(log).st_mode & 0o777 == 0o640


def test_write_never_rotates_within_a_line_that_the_disk_took_half_of(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path / "a.log"), rotation(max_bytes=10))
    write(file, b"begin ")
    write(file, b"middle of it ", NOON + DAY_S)
    write(file, b"end\nnext\n", NOON + DAY_S)
    assert on_disk(tmp_path / "a.log") == {".000001": b"begin middle of it end\n", "": b"next\n"}


def test_file_of_a_writer_that_was_killed_within_a_line_goes_on_with_a_new_line(
    tmp_path: Path,
) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"whole\nha")
    write(LogFile(str(log), rotation(period="never")), b"next\n")
    assert log.read_bytes() == b"whole\nha\nnext\n"


@pytest.mark.long
def test_write_lines_of_any_length_and_their_times_stay_within_the_budget_at_every_moment(
    tmp_path: Path,
) -> None:
    """Counted after each write: the file, the rotated ones, a compressed copy, the times."""
    log = tmp_path / "a.log"
    file = LogFile(str(log), {**rotation(max_bytes=4000), "budget_bytes": 16_000})
    random = Random(24)
    at, most = NOON, 0
    for _ in range(1000):
        at += random.choice((0.0, 0.2, 5.0))
        write(file, random.choice((b"", b"x" * random.randrange(3900))) + b"\n", at)
        numbers = [path for paths in logfiles.listed(str(log)).values() for path in paths]
        for path in numbers[-2:-1]:  # gzip of a file that does not get smaller, under way
            Path(f"{path}.gz.new").write_bytes(Path(path).read_bytes())
        most = max(most, logfiles.used_bytes(str(log)))
        for copy in tmp_path.glob("*.gz.new"):
            copy.unlink()
    assert file.rotations > 150
    assert 10_000 < most <= 16_000


@pytest.mark.parametrize("year", range(2020, 2032))
def test_weekly_period_is_one_week_from_monday_to_sunday_over_new_year(year: int) -> None:
    days = [time.mktime((year, 12, 20 + day, 12, 0, 0, 0, 0, -1)) for day in range(25)]
    weekly = rotation(period="weekly")
    for day, after in itertools.pairwise(days):
        begins = time.localtime(after).tm_wday == 0
        same = logfile._period(after, weekly) == logfile._period(day, weekly)
        assert same is not begins
        assert logfile._period(after, weekly) >= logfile._period(day, weekly)


@pytest.mark.parametrize(
    ("period", "later", "rotated"),
    [
        ("hourly", 3600, True),
        ("daily", 3600, False),
        ("daily", DAY_S, True),
        ("weekly", DAY_S, False),  # a Tuesday
        ("weekly", 7 * DAY_S, True),
        ("never", 400 * DAY_S, False),
        ("daily", -2 * DAY_S, False),  # the clock was set back
    ],
)
def test_write_rotates_when_its_period_is_over(
    tmp_path: Path, period: str, later: float, rotated: bool
) -> None:
    file = LogFile(str(tmp_path / "a.log"), rotation(period=period))
    write(file, b"one\n")
    write(file, b"two\n", NOON + later)
    assert (file.rotations == 1) is rotated


def test_write_a_clock_set_back_and_on_again_rotates_once_a_day(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path / "a.log"), rotation())
    for day in (0, -1, -1, 0, 0):
        write(file, b"line\n", NOON + day * DAY_S)
    assert file.rotations == 1


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_write_goes_on_in_the_old_file_while_no_new_one_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """At midnight, in a folder that has become another user's, or has no inode left."""
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation(max_bytes=100))
    write(file, b"today\n")

    def refuse(_: str) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(logfile, "_open", refuse)
        write(file, b"tomorrow\n", NOON + DAY_S)
        with pytest.raises(OSError, match=os.strerror(number)):
            write(file, b"x" * 99 + b"\n", NOON + DAY_S)  # its bound holds
    write(file, b"later\n", NOON + DAY_S)
    assert on_disk(log) == {".000001": b"today\ntomorrow\n", "": b"later\n"}


def test_write_goes_on_in_a_folder_that_may_not_be_looked_into_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"one\n")

    def refuse(path: str) -> os.stat_result:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        file.write(memoryview(b"two\n"), NOON)
    assert log.read_bytes() == b"one\ntwo\n"


@contextlib.contextmanager
def descriptors_of_others(folder: Path) -> Iterator[None]:
    """Open some files, which take the free numbers: at the end nothing was written to them."""
    paths = [folder / f"other{n}" for n in range(3)]
    others = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    yield
    assert [os.fstat(each).st_size for each in others] == [0, 0, 0]
    for path, each in zip(paths, others, strict=True):
        os.close(each)
        path.unlink()


def test_rotate_on_a_disk_that_refuses_at_the_close_closes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of files says so late that it is full; closed it is all the same: close(2)."""
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"one\n")
    real = os.close

    def full(fd: int) -> None:
        real(fd)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", full)
        with contextlib.suppress(OSError):
            file.rotate()
    with descriptors_of_others(tmp_path):
        write(file, b"two\n")
        file.close()
    assert on_disk(log) == {".000001": b"one\n", "": b"two\n"}


def test_rotate_without_a_descriptor_for_times_touches_no_other_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of one that was closed is the next that is opened: the engine's output, say."""
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"one\n")
    real = os.open

    def no_descriptor(path: str, *more: Any) -> int:
        if path == os.devnull or path.endswith(".times"):
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE), path)
        return real(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_descriptor)
        with contextlib.suppress(OSError):
            file.rotate()
    with descriptors_of_others(tmp_path):
        write(file, b"two\n")
        file.rotate()
        write(file, b"three\n")
        file.close()
    assert on_disk(log) == {".000001": b"one\n", ".000002": b"two\n", "": b"three\n"}


def test_write_of_yesterday_s_file_begins_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"old\n")
    os.utime(log, (NOON - DAY_S, NOON - DAY_S))
    file = LogFile(str(log), rotation())
    write(file, b"new\n")
    assert on_disk(log) == {".000001": b"old\n", "": b"new\n"}


def test_write_after_the_file_was_deleted_goes_on_and_rescues_what_came_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"seen\n")
    write(file, b"here\n")  # looks, and finds it in place
    monkeypatch.setattr(logfile, "CHECK_S", 1000.0)
    log.unlink()
    write(file, b"into the void\n")
    monkeypatch.setattr(logfile, "CHECK_S", 0.0)
    write(file, b"after\n")
    assert log.read_bytes() == b"here\ninto the void\nafter\n"
    log.unlink()
    file.close()
    assert log.read_bytes() == b"after\n"


def test_write_what_could_not_be_rescued_is_tried_again_and_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"seen\n")
    write(file, b"here\n")
    real, left = os.write, [2, 0]

    def full(fd: int, data: memoryview) -> int:
        """Take two bytes of what is rescued, and then nothing until there is room again."""
        if os.fstat(fd).st_ino != file_number and (room := left.pop(0)) < len(data):
            if not room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(fd, data[:room])
        return real(fd, data)

    file_number = os.stat(log).st_ino
    log.unlink()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write(file, b"after\n")
    left += [99, 99, 99]  # the times of lines too, unless they got the number of the old file
    write(file, b"after\n")
    assert log.read_bytes() == b"here\nafter\n"


def move(log: Path) -> None:
    log.rename(log.with_name("a.log.1"))


def move_and_create(log: Path) -> None:
    move(log)
    log.touch()


def copy_and_truncate(log: Path) -> None:
    log.with_name("a.log.1").write_bytes(log.read_bytes())
    os.truncate(log, 0)


@pytest.mark.parametrize("rotate", [move, move_and_create, copy_and_truncate])
def test_write_a_foreign_rotation_does_no_harm(
    tmp_path: Path, rotate: Callable[[Path], None]
) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"one\n")
    rotate(log)
    write(file, b"two\n")
    assert on_disk(log) == {".1": b"one\n", "": b"two\n"}
    assert file.number == 2, "positions in the old file are not those of the new one"


def test_write_notes_when_lines_came(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"one\n", NOON)
    write(file, b"two\n", NOON + 0.05)
    write(file, b"three\n", NOON + 5)
    noted = (tmp_path / "a.log.000001.times").read_text()
    assert noted == f"0 {NOON:.2f}\n8 {NOON + 5:.2f}\n"


def test_rotate_keeps_so_many_within_the_budget(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), {**rotation(max_bytes=100, keep=3), "budget_bytes": 10_000})
    for number in range(6):
        write(file, b"%d\n" % number)
        file.rotate()
    assert [*on_disk(log)] == ["", ".000004", ".000005", ".000006"]
    file.rotation["budget_bytes"] = 240
    write(file, b"x" * 20 + b"\n")
    file.rotate()
    assert [*on_disk(log)] == ["", ".000007"]


def test_drop_unfinished_takes_back_half_a_line(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path / "a.log"), rotation())
    write(file, b"whole\nha")
    file.drop_unfinished(2)
    write(file, b"next\n")
    assert (tmp_path / "a.log").read_bytes() == b"whole\nnext\n"


def test_log_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(str(tmp_path / "none" / "a.log"), rotation())


def test_log_that_is_a_fifo_is_refused_and_nobody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.log")
    with pytest.raises(OSError, match="it is a FIFO, not a regular file"):
        LogFile(str(tmp_path / "a.log"), rotation())


def test_write_a_file_that_became_a_fifo_is_an_error_until_it_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    file = LogFile(str(log), rotation())
    write(file, b"one\n")
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(OSError, match="it is a FIFO"):
        write(file, b"two\n")
    log.unlink()
    write(file, b"two\n")
    assert log.read_bytes().endswith(b"two\n")
