import os
from collections.abc import Iterator

import pytest

from tests.helpers.site import wait_for
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


def test_send_reader_that_is_gone_is_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = BackgroundWriter(pipe[1])
    copy = Stdout("chat", writer)
    copy.send([b"one"])
    wait_for("the count", lambda: copy.dropped == 1)
    writer.close()
