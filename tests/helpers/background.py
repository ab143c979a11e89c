"""Something that goes on in threads while a block runs."""

import threading
from collections.abc import Callable, Iterable
from typing import Self


class Background:
    """Does each step again and again, in a thread of its own, until the block ends."""

    def __init__(self, steps: Iterable[Callable[[], None]]) -> None:
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._repeat, args=(step,)) for step in steps]

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self._done.is_set():
            step()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()
