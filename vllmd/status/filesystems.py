"""How much room is left where vllmd writes, and whether those folders answer at all.

They are looked at aside and now and then, so that a disk that hangs holds up nobody who asks: then
the last figures stay, with their time. The folder of a model is not among them.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from vllmd.util.clock import Clock, until_tick
from vllmd.util.deadline import READ_S
from vllmd.util.within import look_within

LOOK_S = 5.0
"""How often they are looked at."""


@attrs.frozen
class Filesystem:
    """The file system with a folder; `avail_bytes` is without what is reserved for root."""

    role: str
    """What the folder is for: `state` or `logs`."""
    folder: str
    size_bytes: int
    avail_bytes: int
    read_at: float = 0.0
    """When these were its figures, in seconds since the epoch."""


class Filesystems:
    """The file systems of some folders by what they are for; one that is not there is left out."""

    def __init__(self, folders: Mapping[str, Path], clock: Clock) -> None:
        """Name the folders; `look` or `watch` looks at them."""
        self._folders = folders
        self._clock = clock
        self._known: dict[str, Filesystem] = {}
        self._silent_since: dict[str, float] = {}

    async def watch(self, limit_s: float = READ_S) -> None:
        """Look at them until cancelled."""
        while True:
            await self.look(limit_s)
            await self._clock.sleep(until_tick(self._clock, LOOK_S))

    async def look(self, limit_s: float = READ_S) -> None:
        """Look at each of them once, and wait for an answer for `limit_s` seconds at most."""
        each = [self._look(role, folder, limit_s) for role, folder in self._folders.items()]
        await asyncio.gather(*each)

    async def _look(self, role: str, folder: Path, limit_s: float) -> None:
        began = self._clock.time()
        try:
            found = await look_within(str(folder), _statvfs(folder), limit_s)
        except TimeoutError:
            self._silent_since.setdefault(role, began)
            return
        except OSError:
            self._known.pop(role, None)
        else:
            unit = found.f_frsize
            size, avail = found.f_blocks * unit, found.f_bavail * unit
            self._known[role] = Filesystem(role, str(folder), size, avail, began)
        self._silent_since.pop(role, None)

    def known(self) -> Sequence[Filesystem]:
        """Return what is known of those that are there; waits for nothing."""
        return [self._known[role] for role in self._folders if role in self._known]

    def silent_since(self) -> Mapping[str, float | None]:
        """Return since when each does not answer, in seconds since the epoch; None if it does."""
        return {role: self._silent_since.get(role) for role in self._folders}

    def problem(self) -> str | None:
        """Return which of them do not answer, as a sentence; None if all do."""
        silent = [
            f"{_KEYS.get(role, role)} ({folder}) does not answer since "
            f"{time.strftime('%H:%M:%S UTC', time.gmtime(self._silent_since[role]))}"
            for role, folder in self._folders.items()
            if role in self._silent_since
        ]
        return f"{'; '.join(silent)}: does its file system hang?" if silent else None


_KEYS = {"state": "state_dir", "logs": "log_dir"}


def _statvfs(folder: Path) -> Callable[[], os.statvfs_result]:
    return lambda: os.statvfs(folder)
