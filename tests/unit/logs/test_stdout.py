import os
import threading
from collections.abc import Iterator

import pytest

from vllmd.logs import stdout
from vllmd.logs.stdout import Stdout


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
    copy = Stdout("chat", pipe[1])
    copy.send([b"one", b"two \xff"])
    assert os.read(pipe[0], 100) == b"chat | one\nchat | two \xff\n"
    assert copy.dropped == 0
    copy.close()


def test_send_long_line_is_whole_where_somebody_reads(pipe: tuple[int, int]) -> None:
    line = b"x" * 300_000
    found = bytearray()

    def read() -> None:
        while block := os.read(pipe[0], 65536):
            found.extend(block)

    reader = threading.Thread(target=read)
    reader.start()
    copy = Stdout("chat", pipe[1])
    copy.send([line])
    os.close(pipe[1])
    reader.join()
    assert bytes(found) == b"chat | " + line + b"\n"
    assert copy.dropped == 0


def test_send_nobody_reads_waits_for_nobody_and_counts(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdout, "WAIT_S", 0)
    copy = Stdout("chat", pipe[1])
    copy.send([b"x" * 60_000] * 5)
    assert copy.dropped == 4
    os.read(pipe[0], 65536)
    copy.send([b"again"])
    assert copy.dropped == 4


def test_send_reader_that_is_gone_is_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    copy = Stdout("chat", pipe[1])
    copy.send([b"one"])
    assert copy.dropped == 1
