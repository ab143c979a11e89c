"""Holds unit tests to their own folders: whoever would touch the host's is stopped, and fails.

Works by the interpreter's audit events (Python's documentation, "Audit events table"), which come
before the deed. What a child process does is not seen.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vllmd.shim import proc

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.remove": 1,
    "os.rename": 2,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.truncate": 1,
    "os.utime": 1,
    "os.link": 2,
    "os.symlink": 2,
    "shutil.rmtree": 1,
}
"""How many of the first arguments are paths."""
LOOKS = ("os.listdir", "os.scandir")
SHARED_MEMORY = "/dev/shm"


class TouchedError(Exception):
    """A unit test would have touched what is not its own."""


class Host:
    """What of this host no unit test may touch: folders, and processes older than the tests."""

    def __init__(self, *folders: str, own: Path) -> None:
        self.touched: list[str] = []
        self._folders = tuple(f"{folder}/" for folder in (SHARED_MEMORY, *folders))
        self._own = f"{own}/"
        self._allowed: set[str] = set()
        self._watching = False
        stat = proc.read_stat(os.getpid())
        assert stat is not None
        self._began = stat.start_ticks
        self._looks: dict[str, Callable[..., str | None]] = {
            "open": self._opened,
            "os.kill": self._killed,
            "socket.bind": self._bound,
            **dict.fromkeys(LOOKS, self._listed),
        }
        sys.addaudithook(self._look)

    def allow(self, path: Path) -> None:
        """Let the test that runs now touch one file."""
        self._allowed.add(str(path))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch one test.

        Raises: TouchedError: it would have touched what is not its own, and may have hidden it.
        """
        self._watching = True
        try:
            yield
        finally:
            self._watching = False
            self._allowed.clear()
            touched, self.touched = self.touched, []
        if touched:
            raise TouchedError("; ".join(touched))

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event in CHANGES:
            found = next(filter(None, map(self._named, args[: CHANGES[event]])), None)
        elif event in self._looks:
            found = self._looks[event](*args)
        else:
            return
        if found is not None:
            self.touched.append(f"{event} {found}")
            raise TouchedError(self.touched[-1])

    def _named(self, path: object) -> str | None:
        if isinstance(path, bytes | str | os.PathLike):
            name = os.path.abspath(os.fsdecode(path))
            if f"{name}/".startswith(self._folders) and name not in self._allowed:
                return None if name.startswith(self._own) else name
        return None

    def _opened(self, path: object, _mode: object, flags: object) -> str | None:
        return self._named(path) if isinstance(flags, int) and flags & WRITES else None

    def _listed(self, path: object) -> str | None:
        name = self._named(path)
        return name if name is not None and name.startswith(SHARED_MEMORY) else None

    def _bound(self, _socket: object, address: object) -> str | None:
        return self._named(address) if not isinstance(address, tuple) else None

    def _killed(self, pid: int, number: int) -> str | None:
        stat = proc.read_stat(abs(pid)) if number else None
        if stat is None or (pid == os.getpid() and number != 9):
            return None
        return proc.describe(stat) if stat.start_ticks <= self._began else None
