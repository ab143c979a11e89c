import errno
import os
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from tests.helpers.site import wait_for
from vllmd.logs import stdout
from vllmd.logs.stdout import Stdout
from vllmd.util import background_writer
from vllmd.util.background_writer import BackgroundWriter


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


def test_send_puts_the_engines_name_before_each_line(pipe: tuple[int, int]) -> None:
    writer = BackgroundWriter(pipe[1])
    copy = Stdout("chat", writer)
    copy.send([b"one", b"two \xff"])
    writer.close()
    assert os.read(pipe[0], 100) == b"chat | one\nchat | two \xff\n"
    assert copy.dropped == 0
    copy.close()


def test_send_nobody_reads_waits_for_nobody_and_counts_and_another_engine_has_its_room(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_writer, "CLOSE_S", 0.0)
    writer = BackgroundWriter(pipe[1], most_bytes=200_000)
    flood, quiet = Stdout("flood", writer), Stdout("quiet", writer)
    flood.send([b"x" * 60_000] * 9)
    assert 4 <= flood.dropped <= 6
    quiet.send([b"a line"])
    assert quiet.dropped == 0
    while not os.read(pipe[0], 65536).endswith(b"quiet | a line\n"):
        pass
    dropped = flood.dropped
    flood.send([b"again"])
    assert flood.dropped == dropped
    writer.close()


def test_send_waits_in_a_burst_for_a_reader_that_reads(pipe: tuple[int, int]) -> None:
    writer = BackgroundWriter(pipe[1], most_bytes=20_000)
    copy = Stdout("chat", writer)
    lines = [b"%06d" % number + b"x" * 1000 for number in range(2000)]
    size = sum(len(b"chat | ") + len(line) + 1 for line in lines)
    read: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(pipe[0], size, read))
    reader.start()
    copy.send(lines)
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
        def put(self, who: str, text: bytes, lost: Callable[[], None] = lambda: None) -> bool:
            return False

        def wait_for_room(self, who: str, size: int, most_s: float) -> bool:
            waits.append(most_s)
            clock[0] += 0.5
            return True

    clock = [1000.0]
    monkeypatch.setattr(stdout, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    copy = Stdout("chat", Slow(pipe[1]))
    copy.send([b"line"] * 9)
    assert waits == [2.0, 1.5, 1.0, 0.5]
    clock[0] += stdout.EACH_S
    copy.send([b"line"])
    assert waits[4:] == [2.0]


def test_send_to_an_output_that_is_closed_is_counted_and_tried_again(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = background_writer.own_description

    def closed(fd: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(background_writer, "own_description", closed)
    writer = BackgroundWriter(pipe[1])
    copy = Stdout("chat", writer)
    copy.send([b"one"])
    wait_for("the count", lambda: copy.dropped == 1)
    copy.send([b"two"])
    assert copy.dropped == 2, "nothing is taken so soon after it"
    monkeypatch.setattr(background_writer, "own_description", opened)
    monkeypatch.setattr(writer, "_not_before", 0.0)
    copy.send([b"three"])
    writer.close()
    assert os.read(pipe[0], 100) == b"chat | three\n"
    assert copy.dropped == 2


def test_send_reader_that_is_gone_is_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = BackgroundWriter(pipe[1])
    copy = Stdout("chat", writer)
    copy.send([b"one"])
    wait_for("the count", lambda: copy.dropped == 1)
    writer.close()
