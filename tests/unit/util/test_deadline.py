import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.util.deadline import call_within


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """An event that a read waits for, as for a server that is gone."""
    event = threading.Event()
    yield event
    event.set()


def test_call_within_returns_and_raises_what_the_work_does() -> None:
    assert call_within("/a", lambda: 7) == 7
    with pytest.raises(FileNotFoundError):
        call_within("/a", Path("/none/there").read_bytes)


def test_call_within_of_what_hangs_is_given_up_and_not_begun_again(hung: threading.Event) -> None:
    with pytest.raises(TimeoutError) as raised:
        call_within("/nfs/a", hung.wait, 0.05)
    error = raised.value
    assert (error.errno, error.filename) == (errno.ETIMEDOUT, "/nfs/a")
    assert error.strerror == "no answer within 0.05 s: does its file system hang?"
    threads = threading.active_count()
    with pytest.raises(TimeoutError):
        call_within("/nfs/a", lambda: 1)
    assert threading.active_count() == threads
    assert call_within("/b", lambda: 2) == 2
    hung.set()
    for thread in threading.enumerate():
        if thread.name == "read":
            thread.join(5)
    assert call_within("/nfs/a", lambda: 3) == 3


def test_call_within_without_a_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(OSError, match=r"no thread is to be had .*more processes") as raised:
            call_within("/a", lambda: 7)
    assert raised.value.errno == errno.EAGAIN
    assert call_within("/a", lambda: 7) == 7


def test_call_within_below_a_folder_that_hangs_is_told_so_at_once(hung: threading.Event) -> None:
    with pytest.raises(TimeoutError):
        call_within("/nfs/logs", hung.wait, 0.05)
    threads = threading.active_count()
    with pytest.raises(TimeoutError):
        call_within("/nfs/logs/a/b.log", lambda: 1)
    assert threading.active_count() == threads
    assert call_within("/nfs/logs.old", lambda: 2) == 2
    assert call_within("/nfs", lambda: 3) == 3
