import asyncio
import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from vllmd.util import threads
from vllmd.util.threads import Threads

HANGS = """
import asyncio, time
from vllmd.util.threads import Threads
async def main():
    asyncio.get_running_loop().set_default_executor(Threads(close_s=0.1))
    asyncio.ensure_future(asyncio.to_thread(time.sleep, 600))
    await asyncio.sleep(0.1)
asyncio.run(main())
print("ended")
"""


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What hangs until the test is over."""
    over = threading.Event()
    yield over
    over.set()


async def test_work_is_done_beside_any_that_hangs(hang: threading.Event) -> None:
    asyncio.get_running_loop().set_default_executor(Threads())
    hanging = [asyncio.ensure_future(asyncio.to_thread(hang.wait)) for _ in range(60)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(lambda: 7) == 7
    assert not any(each.done() for each in hanging)
    hang.set()
    async with asyncio.timeout(20):
        await asyncio.gather(*hanging)


async def test_what_work_raises_is_raised_where_it_was_wanted() -> None:
    asyncio.get_running_loop().set_default_executor(Threads())

    def fail() -> None:
        raise KeyError("disk")

    with pytest.raises(KeyError):
        await asyncio.to_thread(fail)


def test_more_work_than_makes_sense_is_refused(hang: threading.Event) -> None:
    threads = Threads(most=2)
    futures = [threads.submit(hang.wait) for _ in range(2)]
    with pytest.raises(OSError, match="2 threads wait already") as refused:
        threads.submit(hang.wait)
    assert refused.value.errno == errno.EAGAIN
    hang.set()
    assert all(each.result(20) for each in futures)
    threads.shutdown()
    assert threads.submit(lambda: 7).result(20) == 7


def getaddrinfo() -> int:
    """Stands for the lookup of a name."""
    return 7


@pytest.mark.parametrize("work", [lambda: 7, getaddrinfo])
def test_work_without_a_thread_is_refused_and_done_later(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], int]
) -> None:
    """As is all else that this user may have no more of."""

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = Threads(most=1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        for _ in range(2):
            with pytest.raises(OSError, match="no thread is to be had") as refused:
                pool.submit(work)
            assert refused.value.errno == errno.EAGAIN
    assert pool.submit(work).result(20) == 7


def test_process_ends_although_a_thread_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "ended"), done.stderr


def test_end_waits_for_work_that_is_nearly_done() -> None:
    threads, done = Threads(), threading.Event()

    def work() -> None:
        threading.Event().wait(0.05)
        done.set()

    threads.submit(work)
    threads.shutdown()
    assert done.is_set()


async def test_names_that_no_server_tells_hold_up_no_other_work(
    hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked for again and again, and given up in time by who asks."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: object) -> list[object]:
        asked.append(host)
        hang.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(Threads(most=5))
    names = [f"gpu{number}" for number in range(40)]
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.gather(*(loop.getaddrinfo(name, 9840) for name in names))
    assert sorted(asked) == sorted(names)
    async with asyncio.timeout(20):
        assert await asyncio.to_thread(lambda: 7) == 7
    last = [asyncio.ensure_future(loop.getaddrinfo("gpu7", 9840)) for _ in range(2)]
    await asyncio.sleep(0)
    hang.set()
    async with asyncio.timeout(20):
        found = await asyncio.gather(*last)
    assert [each[0][4][0] for each in found] == ["203.0.113.7"] * 2


async def test_more_names_than_make_sense_are_refused(
    hang: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LOOKUPS", 2)
    pool = Threads()

    def getaddrinfo(name: str) -> str:
        hang.wait()
        return name

    waiting = [pool.submit(getaddrinfo, name) for name in "ab"]
    with pytest.raises(OSError, match="does no name server answer"):
        pool.submit(getaddrinfo, "c")
    assert pool.submit(getaddrinfo, "b") is waiting[1]
    hang.set()
    assert [each.result(20) for each in waiting] == ["a", "b"]
