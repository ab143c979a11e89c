import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.helpers.site import wait_for
from vllmd.logs import stdout
from vllmd.logs.copied import CopiedFile
from vllmd.logs.reader import Position
from vllmd.logs.stdout import Stdout
from vllmd.util import background_writer
from vllmd.util.background_writer import BackgroundWriter, Tell

NOWHERE = Path("/proc/nowhere")
FIRST = 1
BEGIN = Position(FIRST, 0)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe."""
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            continue


def copying(writer: BackgroundWriter, engine: str = "chat", folder: Path = NOWHERE) -> Stdout:
    """Return a copy of a log in a folder; nowhere is none, and nothing is kept of what came out."""
    return Stdout(engine, str(folder / "log"), writer, CopiedFile(folder / "copied"))


def send(copy: Stdout, lines: list[bytes]) -> None:
    """Hand over lines, the first of which begins the log."""
    copy.send(b"".join(line + b"\n" for line in lines), BEGIN)


def test_send_puts_the_engines_name_before_each_line(pipe: tuple[int, int]) -> None:
    writer = BackgroundWriter(pipe[1])
    copy = copying(writer)
    send(copy, [b"one", b"two \xff"])
    writer.close()
    assert os.read(pipe[0], 100) == b"chat | one\nchat | two \xff\n"
    assert copy.dropped == 0
    copy.close()


def test_send_nobody_reads_waits_for_nobody_and_counts_and_another_engine_has_its_room(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_writer, "CLOSE_S", 0.0)
    writer = BackgroundWriter(pipe[1], most_bytes=200_000)
    flood, quiet = copying(writer, "flood"), copying(writer, "quiet")
    send(flood, [b"x" * 60_000] * 9)
    assert 4 <= flood.dropped <= 6
    send(quiet, [b"a line"])
    assert quiet.dropped == 0
    while not os.read(pipe[0], 65536).endswith(b"quiet | a line\n"):
        pass
    dropped = flood.dropped
    send(flood, [b"again"])
    assert flood.dropped == dropped
    writer.close()


def test_send_waits_in_a_burst_for_a_reader_that_reads(pipe: tuple[int, int]) -> None:
    writer = BackgroundWriter(pipe[1], most_bytes=20_000)
    copy = copying(writer)
    lines = [b"%06d" % number + b"x" * 1000 for number in range(2000)]
    size = sum(len(b"chat | ") + len(line) + 1 for line in lines)
    read: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(pipe[0], size, read))
    reader.start()
    send(copy, lines)
    writer.close()
    os.close(pipe[1])
    reader.join()
    assert copy.dropped == 0
    assert b"".join(read) == b"".join(b"chat | " + line + b"\n" for line in lines)


def read_all(fd: int, size: int, into: list[bytes]) -> None:
    """Read until so many bytes came, or nobody can write any more."""
    while size > 0 and (block := os.read(fd, 65536)):
        into.append(block)
        size -= len(block)


def test_send_waits_for_a_slow_reader_no_longer_than_so_much_of_a_time(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    class Slow(BackgroundWriter):
        def put(self, who: str, text: bytes, tell: Tell = lambda _: None) -> bool:
            return False

        def wait_for_room(self, who: str, size: int, most_s: float) -> bool:
            waits.append(most_s)
            clock[0] += 0.5
            return True

    clock = [1000.0]
    monkeypatch.setattr(stdout, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    copy = copying(Slow(pipe[1]))
    send(copy, [b"line"] * 9)
    assert waits == [2.0, 1.5, 1.0, 0.5]
    clock[0] += stdout.EACH_S
    send(copy, [b"line"])
    assert waits[4:] == [2.0]


def test_send_to_an_output_that_is_closed_is_counted_and_tried_again(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = background_writer.own_description

    def closed(fd: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(background_writer, "own_description", closed)
    writer = BackgroundWriter(pipe[1])
    copy = copying(writer)
    send(copy, [b"one"])
    wait_for("the count", lambda: copy.dropped == 1)
    send(copy, [b"two"])
    assert copy.dropped == 2, "nothing is taken so soon after it"
    monkeypatch.setattr(background_writer, "own_description", opened)
    monkeypatch.setattr(writer, "_not_before", 0.0)
    send(copy, [b"three"])
    writer.close()
    assert os.read(pipe[0], 100) == b"chat | three\n"
    assert copy.dropped == 2


def test_send_reader_that_is_gone_is_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = BackgroundWriter(pipe[1])
    copy = copying(writer)
    send(copy, [b"one"])
    wait_for("the count", lambda: copy.dropped == 1)
    writer.close()


LINES = [b"%03d" % number for number in range(9)]
LOG = b"".join(line + b"\n" for line in LINES)


def came_out(folder: Path, copied: Position | None, begin: int, *, begun: bool = False) -> bytes:
    """Return what a daemon prints that reads on at `begin`; one before had copied so much."""
    (folder / "log").write_bytes(LOG)
    if copied is not None:
        CopiedFile(folder / "copied").write(copied, begun=begun)
    read, write = os.pipe()
    writer = BackgroundWriter(write)
    copy = copying(writer, folder=folder)
    copy.send(LOG[begin:], Position(FIRST, begin))
    writer.close()
    copy.close()
    os.close(write)
    with os.fdopen(read, "rb") as file:
        return file.read()


def shown(numbers: range) -> bytes:
    return b"".join(b"chat | %03d\n" % number for number in numbers)


@pytest.mark.parametrize("begin", [0, 8, 16, 24, 32, 36])
def test_send_after_a_daemon_that_was_killed_goes_on_behind_what_came_out(
    tmp_path: Path, begin: int
) -> None:
    """Lines of four bytes: four came out, whether the daemon had noted less of them or more."""
    assert came_out(tmp_path, Position(FIRST, 16), begin) == shown(range(4, 9))
    found = CopiedFile(tmp_path / "copied").read()
    assert found is not None
    assert (found.end, found.begun) == (Position(FIRST, 36), False)


def test_send_after_a_line_that_was_cut_prints_it_whole_on_a_line_of_its_own(
    tmp_path: Path,
) -> None:
    assert came_out(tmp_path, Position(FIRST, 16), 20, begun=True) == b"\n" + shown(range(4, 9))


@pytest.mark.parametrize("copied", [None, Position(FIRST, 40), Position(7, 0)])
def test_send_without_a_daemon_before_and_with_one_of_another_log_prints_what_it_is_given(
    tmp_path: Path, copied: Position | None
) -> None:
    assert came_out(tmp_path, copied, 16) == shown(range(4, 9))


def test_send_after_a_daemon_that_nobody_read_prints_no_more_than_could_have_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdout, "MOST_BYTES", 8)
    assert came_out(tmp_path, Position(FIRST, 4), 32) == shown(range(1, 3)) + shown(range(8, 9))


def test_send_line_that_a_pipe_takes_in_parts_is_noted_as_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_writer, "CLOSE_S", 0.0)
    read, write = os.pipe()
    copied = CopiedFile(tmp_path / "copied")
    copy = Stdout("chat", str(tmp_path / "log"), BackgroundWriter(write), copied)
    copy.send(b"a\n" + b"x" * 100_000 + b"\n", BEGIN)

    def begun() -> bool:
        found = CopiedFile(tmp_path / "copied").read()
        return found is not None and found.begun and found.end == Position(FIRST, 2)

    wait_for("the mark", begun)
    os.close(read)
    wait_for("its end", lambda: copy.dropped == 1)
    copy.close()
    os.close(write)
