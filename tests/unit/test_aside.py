import threading

import pytest

from vllmd import aside
from vllmd.aside import Aside, at_once


def test_aside_does_everything_in_order_and_elsewhere() -> None:
    worker, done = Aside(), list[tuple[int, bool]]()
    here = threading.current_thread()
    for number in range(100):
        worker.do(lambda n=number: done.append((n, threading.current_thread() is here)))  # type: ignore[misc]
    assert worker.close()
    assert done == [(number, False) for number in range(100)]


def test_aside_that_stands_still_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "CLOSE_S", 0.05)
    worker, mended = Aside(), threading.Event()

    def stands_still() -> None:
        mended.wait(10)

    worker.do(stands_still)
    assert not worker.close()
    mended.set()


def test_at_once_does_it_here() -> None:
    done: list[int] = []
    at_once(lambda: done.append(1))
    assert done == [1]
