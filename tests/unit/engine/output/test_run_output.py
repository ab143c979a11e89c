import asyncio
import errno
import threading
from pathlib import Path

import pytest

from tests.helpers.make import spec
from tests.helpers.shims import FakeShim
from vllmd.engine.output import run_output
from vllmd.engine.output.run_output import (
    LAST_BYTES,
    begin_of,
    new_lines,
    output_of,
    read_last_lines,
    read_new_lines,
)
from vllmd.logs.reader import Position
from vllmd.shim.protocol import RunRecord


def run_from(folder: Path, offset: int, number: int | None = None) -> RunRecord:
    run = FakeShim(spec(folder, ["x"])).run
    run["log_offset"] = offset
    if number is not None:
        run["log_number"] = number
    return run


def test_new_lines_gives_whole_lines_once_also_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_bytes(b"old\none\ntw")
    follower = output_of(run_from(tmp_path, 4))
    assert new_lines(follower) == ["one"]
    with log.open("ab") as file:
        file.write(b"o\nthree\n")
    log.rename(tmp_path / "chat.log.000001")
    log.write_bytes(b"four\n")
    assert new_lines(follower) == ["two", "three"]
    assert new_lines(follower) == ["four"]
    assert new_lines(follower) == []


def test_new_lines_missing_file_is_nothing(tmp_path: Path) -> None:
    assert new_lines(output_of(run_from(tmp_path, 0))) == []


async def test_read_new_lines_without_a_thread_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that loads would not be seen to serve for want of its lines."""
    (tmp_path / "chat.log").write_bytes(b"one\n")
    log = output_of(run_from(tmp_path, 0))

    async def no_thread(*_: object) -> list[str]:
        raise OSError(errno.EAGAIN, "no thread is to be had")

    with monkeypatch.context() as patch:
        patch.setattr(run_output, "run_within", no_thread)
        assert await read_new_lines(log) == []
    assert await read_new_lines(log) == ["one"]


async def test_read_new_lines_of_a_disk_that_hangs_are_none_and_hold_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chat.log").write_bytes(b"one\n")
    log = output_of(run_from(tmp_path, 0))
    assert await read_new_lines(log) == ["one"]
    hangs = threading.Event()
    monkeypatch.setattr("vllmd.util.deadline.call_within.__defaults__", (0.05,))
    monkeypatch.setattr("vllmd.util.within.run_within.__defaults__", (0.05,))
    monkeypatch.setattr(run_output, "new_lines", lambda _: hangs.wait(20) and ["late"])
    reading = asyncio.ensure_future(read_new_lines(log))
    await asyncio.sleep(0)  # others go on
    assert not reading.done()
    assert await reading == []
    assert await read_new_lines(log) == []
    hangs.set()


def test_begin_of_a_run_of_an_older_shim_is_in_the_file_that_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "chat.log.000004").touch()
    assert begin_of(run_from(tmp_path, 7)) == Position(5, 7)
    assert begin_of(run_from(tmp_path, 7, number=3)) == Position(3, 7)


def test_read_last_lines_are_those_of_the_run_only(tmp_path: Path) -> None:
    log = tmp_path / "chat.log"
    log.write_bytes(b"old\none\ntwo \xff\n")
    assert read_last_lines(run_from(tmp_path, 4))[0] == ["one", "two \ufffd"]
    log.rename(tmp_path / "chat.log.000001")
    log.write_bytes(b"three\n")
    assert read_last_lines(run_from(tmp_path, 4, number=1)) == (
        ["one", "two \ufffd", "three"],
        Position(1, 4),
    )
    log.write_bytes(b"old\n" + b"x" * LAST_BYTES + b"\nlast\n")
    lines, _ = read_last_lines(run_from(tmp_path, 0, number=1))
    assert lines[-1] == "last"
    assert sum(map(len, lines)) < LAST_BYTES
    log.unlink()
    assert read_last_lines(run_from(tmp_path, 0, number=2))[0] == []
