import asyncio
import threading
from collections.abc import Iterator

import pytest

from vllmd.util.within import at_once, run_within


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
