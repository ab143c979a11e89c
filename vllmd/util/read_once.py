"""A state file that only this daemon writes: what the one before left in it is read once.

From then on its user goes by what it has saved itself, and waits for no disk to know it.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from vllmd.util.state_file import ASK_S, NotRead, StateFile
from vllmd.util.within import Within

T = TypeVar("T")


class ReadOnce(Generic[T]):
    """What is in one file; whoever saves something, or forgets it, says so to `know`."""

    def __init__(
        self, file: StateFile | None, parse: Callable[[Mapping[str, Any]], T | None]
    ) -> None:
        """Name the file; without one, only what `know` is told is known."""
        self._file, self._parse = file, parse
        self.value: T | None = None
        """What is in it; None if that is nothing, or was not read yet."""
        self.is_known = file is None

    async def read(self, within: Within) -> None:
        """Read it off the event loop, until that was done once."""
        if self._file is not None and not self.is_known:
            with contextlib.suppress(OSError):
                await within(str(self._file.path), self.read_here, ASK_S)

    def read_here(self) -> None:
        """Read it, until that was done once; waits for the disk, in any thread."""
        if self._file is None or self.is_known:
            return
        found = self._file.read(self._parse)
        if not (isinstance(found, NotRead) or self.is_known):
            self.know(found)

    def know(self, value: T | None) -> None:
        """Take over what is in it from now on."""
        self.value, self.is_known = value, True
