import asyncio
import functools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.util.within import at_once, look_within, run_within


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """An event that a read waits for, as for a server that is gone."""
    event = threading.Event()
    yield event
    event.set()


def test_run_within_lets_the_event_loop_go_on_and_end(hung: threading.Event) -> None:
    async def main() -> int:
        reading = asyncio.ensure_future(run_within("/nfs/c", hung.wait, 0.3))
        turns = 0
        while not reading.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(TimeoutError):
            await reading
        return turns

    assert asyncio.run(main()) > 3  # it ended, though the read has not


async def test_at_once_does_it_here() -> None:
    assert await at_once("/a", threading.current_thread) is threading.current_thread()


async def test_look_within_returns_and_raises_what_the_work_does_by_one_thread_that_ends() -> None:
    before = set(threading.enumerate())
    found = await look_within("/a", lambda: (threading.current_thread(), threading.enumerate()))
    assert set(found[1]) - before == {found[0]}
    with pytest.raises(FileNotFoundError):
        await look_within("/a", Path("/none/there").read_bytes)
    with pytest.raises(TimeoutError, match="of the work"):
        await look_within("/a", functools.partial(fail, TimeoutError("of the work")))
    assert await look_within("/a", lambda: 1) == 1  # no hang of the disk


def fail(error: Exception) -> None:
    raise error


def test_look_within_lets_the_event_loop_go_on_and_end(hung: threading.Event) -> None:
    async def main() -> int:
        looking = asyncio.ensure_future(look_within("/nfs/d", hung.wait, 0.3))
        turns = 0
        while not looking.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(TimeoutError, match="/nfs/d"):
            await looking
        return turns

    assert asyncio.run(main()) > 3


async def test_look_within_begins_none_beside_one_that_hangs(hung: threading.Event) -> None:
    with pytest.raises(TimeoutError):
        await look_within("/nfs/e", hung.wait, 0.05)
    for ask in (look_within, run_within):
        with pytest.raises(TimeoutError):
            await ask("/nfs/e/below", lambda: 1)
    cancelled = asyncio.ensure_future(look_within("/nfs/f", hung.wait, 5))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    await asyncio.wait({cancelled})
    with pytest.raises(TimeoutError):
        await look_within("/nfs/f", lambda: 1)
    hung.set()
    async with asyncio.timeout(5):
        while True:
            try:
                assert await look_within("/nfs/f", lambda: 2) == 2
            except TimeoutError:
                await asyncio.sleep(0.01)
            else:
                break
    assert await look_within("/nfs/e", lambda: 3) == 3
