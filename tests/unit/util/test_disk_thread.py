import threading

import pytest

from vllmd.util import disk_thread
from vllmd.util.disk_thread import DiskThread, at_once
from vllmd.util.parts import PartRunner


def test_disk_thread_does_everything_in_order_and_elsewhere() -> None:
    worker, done = DiskThread(), list[tuple[int, bool]]()
    here = threading.current_thread()
    for number in range(100):
        worker.do(lambda n=number: done.append((n, threading.current_thread() is here)))  # type: ignore[misc]
    assert worker.close()
    assert done == [(number, False) for number in range(100)]


def test_disk_thread_that_stands_still_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_thread, "CLOSE_S", 0.05)
    worker, mended = DiskThread(), threading.Event()

    def stands_still() -> None:
        mended.wait(10)

    worker.do(stands_still)
    assert not worker.close()
    mended.set()


def test_at_once_does_it_here() -> None:
    done: list[int] = []
    at_once(lambda: done.append(1))
    assert done == [1]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("x"), MemoryError(), SystemExit(1)])
def test_disk_thread_work_that_raises_is_counted_and_the_next_is_done(error: BaseException) -> None:
    parts, done = PartRunner(), list[int]()
    worker = DiskThread(parts)

    def raises() -> None:
        raise error

    worker.do(raises)
    worker.do(lambda: done.append(1))
    assert worker.close()
    assert (done, parts.failures()) == ([1], {"disk": 1})


class StoodStill:
    """A disk that stands still from the first work on, until it is mended."""

    def __init__(self, worker: DiskThread) -> None:
        self.worker, self.mended, begun = worker, threading.Event(), threading.Event()

        def stands_still() -> None:
            begun.set()
            self.mended.wait(10)

        worker.do(stands_still)
        assert begun.wait(10)

    def mend(self) -> None:
        self.mended.set()
        assert self.worker.close()


def test_disk_thread_of_what_waits_for_one_file_only_the_newest_is_written() -> None:
    worker, done = DiskThread(), list[str]()
    disk = StoodStill(worker)
    worker.do(lambda: done.append("chat 1"), "chat.json")
    worker.do(lambda: done.append("usage"))
    worker.do(lambda: done.append("gpus"), "gpus.json")
    worker.do(lambda: done.append("chat 2"), "chat.json")
    disk.mend()
    assert done == ["usage", "gpus", "chat 2"]


def test_disk_thread_more_than_it_may_hold_gives_up_the_oldest_and_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(disk_thread, "MAX_WAITING", 3)
    parts, done = PartRunner(), list[int]()
    worker = DiskThread(parts)
    disk = StoodStill(worker)
    for number in range(5):
        worker.do(lambda n=number: done.append(n))  # type: ignore[misc]
    disk.mend()
    assert (done, parts.failures()) == ([2, 3, 4], {"disk": 2})
