"""A state file that is read when its user begins, and again beside its work if the disk was late.

Until it was read its user saves nothing: what is in it would be lost.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from vllmd.util.disk_thread import DiskWork, at_once
from vllmd.util.state_file import NotRead, StateFile

T = TypeVar("T")


class LateState(Generic[T]):
    """What is in one file."""

    def __init__(
        self, file: StateFile, parse: Callable[[Mapping[str, Any]], T], do: DiskWork = at_once
    ) -> None:
        """Make it; `do` is who waits for the disk when it is read again."""
        self._file, self._parse, self._do = file, parse, do
        self._late: T | None = None
        self._reading = threading.Lock()
        self.problem: str | None = None
        """Why it was not read yet; None if it was."""

    def load(self) -> T | None:
        """Return what is in the file; None if that is nothing, or was not read."""
        found = self._file.read(self._parse)
        if isinstance(found, NotRead):
            self.problem = found.problem
            return None
        return found

    def read_again(self) -> None:
        """Read what was not read; waits for the disk, in any thread. `take` returns it then."""
        with self._reading:
            if self.problem is None:
                return
            found = self._file.read(self._parse)
            if not isinstance(found, NotRead):
                self._late, self.problem = found, None

    def ask_again(self) -> None:
        """Have it read again, if it was not read; waits for nothing."""
        if self.problem is not None:
            self._do(self.read_again, f"{self._file.path} again")

    def take(self) -> T | None:
        """Return what was read late, once."""
        late, self._late = self._late, None
        return late
