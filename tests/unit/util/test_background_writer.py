import fcntl
import os
import pty
import socket
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.site import wait_for
from vllmd.util import background_writer
from vllmd.util.background_writer import BackgroundWriter, Fate, own_description


def blocks(fd: int) -> bool:
    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


@pytest.fixture(params=["pipe", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Return the end that reads and the one that is written to."""
    if request.param == "pipe":
        read, write = os.pipe()
    else:
        read, write = pty.openpty()
        tty.setraw(write)
    yield read, write
    for each in (read, write):
        try:
            os.close(each)
        except OSError:
            continue


def read_all(fd: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += os.read(fd, 65536)
    return found


def test_put_is_written_in_order_and_close_waits_for_it(ends: tuple[int, int]) -> None:
    writer = BackgroundWriter(ends[1])
    assert all(writer.put("a", b"%d\n" % number) for number in range(9))
    writer.close()
    assert read_all(ends[0], 18) == b"".join(b"%d\n" % number for number in range(9))
    assert not writer.put("a", b"late")


def test_output_that_nobody_reads_holds_up_nobody_and_is_bounded_for_each(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_writer, "CLOSE_S", 0.0)
    writer = BackgroundWriter(ends[1], most_bytes=300_000)
    taken = [writer.put("flood", b"x" * 50_000) for _ in range(20)]
    assert 6 <= sum(taken) < 20, "what waits, and what the kernel took"
    assert taken == sorted(taken, reverse=True)
    assert writer.put("quiet", b"a line\n"), "another has its own room"
    assert blocks(ends[1]), "who shares the terminal is not touched"
    assert read_all(ends[0], 50_000 * sum(taken) + 7).endswith(b"xa line\n")
    wait_for("room", lambda: writer.put("flood", b"x" * 300_000))
    writer.close()


def test_text_that_is_longer_than_all_room_waits_alone(ends: tuple[int, int]) -> None:
    writer = BackgroundWriter(ends[1], most_bytes=10)
    assert writer.put("a", b"y" * 200_000)
    assert not writer.put("a", b"z")
    assert read_all(ends[0], 200_000) == b"y" * 200_000
    writer.close()


def test_reader_that_is_gone_is_told(ends: tuple[int, int]) -> None:
    os.close(ends[0])
    told: list[Fate] = []
    writer = BackgroundWriter(ends[1])
    assert writer.put("a", b"x", told.append)
    wait_for("its fate", lambda: told == [Fate.LOST])
    writer.close()


def test_two_writers_to_one_output_do_not_write_into_each_others_texts(
    ends: tuple[int, int],
) -> None:
    first, second = BackgroundWriter(ends[1]), BackgroundWriter(ends[1])
    texts = [b"a" * 199_997 + b"\n", b"b\n"]
    for _ in range(5):
        assert first.put("a", texts[0])
        assert second.put("b", texts[1])
    found = read_all(ends[0], 1_000_000).splitlines(keepends=True)
    assert sorted(found) == sorted(texts * 5)
    first.close()
    second.close()


def test_own_description_of_a_file_goes_on_behind_what_others_write(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb", buffering=0) as file:
        file.write(b"one\n")
        own = own_description(file.fileno())
        os.write(own, b"two\n")
        file.write(b"three\n")
        os.close(own)
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\nthree\n"


def test_own_description_of_a_socket_and_of_what_may_not_be_opened_is_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left, right = socket.socketpair()
    read, write = os.pipe()

    def refuse(*_: object) -> int:
        raise PermissionError

    with left, right, monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for end, fd in ((right.fileno(), left.fileno()), (read, write)):
            own = own_description(fd)
            os.write(own, b"x")
            assert os.read(end, 9) == b"x"
            assert blocks(own)
            os.close(own)
    os.close(read)
    os.close(write)


def test_put_where_no_thread_is_to_be_had_is_not_taken_and_the_next_one_is(
    ends: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, write = ends
    writer = BackgroundWriter(write)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert not writer.put("a", b"one\n")
    assert writer.put("a", b"two\n")
    writer.close()
    assert os.read(read, 100) == b"two\n"
