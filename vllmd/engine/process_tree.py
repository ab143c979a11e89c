"""The processes below one, listed again and again without reading every other one's state.

A host has thousands of processes, most of them the kernel's. One that is not below the shim cannot
come to be: a process whose parent has ended falls to an ancestor. What could not be read, or whose
ancestors could not, may be below it, and is read again at the next look. Only a number can be given
to another process: the inode of its folder is another one then. Where that says nothing, all are
read again from time to time.

Source: fs/proc/base.c, `proc_fill_cache`: an entry of /proc has the number of its inode, which is
made anew for each process.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping

from vllmd.shim import proc
from vllmd.shim.proc import Stat

ALL_AGAIN = 32
"""After so many looks all processes are read again."""
ALL_AGAIN_S = 60.0
"""So are they at a look that is so much later than the one before: numbers come again."""


def listed() -> dict[int, int]:
    """Return the number of each process, and the inode of its folder."""
    with os.scandir("/proc") as entries:
        return {int(each.name): each.inode() for each in entries if each.name.isdigit()}


Listing = Callable[[], Mapping[int, int]]


class ProcessTree:
    """Lists what lives below a process; for one caller."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet; `now` is a clock in seconds."""
        self._now = now
        self._root = 0
        self._others: dict[int, int] = {}
        """Numbers that are known not to be below it, each with its inode."""
        self._looks = 0
        self._looked_at = 0.0

    def below(self, pid: int, listing: Listing | None = None) -> list[Stat]:
        """List all living processes below `pid`, as `proc.descendants` does.

        `listing` is `listed`, or returns what that has just returned.
        """
        now = self._now()
        is_late = now - self._looked_at > ALL_AGAIN_S
        if pid != self._root or self._looks >= ALL_AGAIN or is_late:
            self._root, self._looks = pid, 0
            self._others.clear()
        self._looks += 1
        self._looked_at = now
        there, others = (listing or listed)(), self._others
        looked_at = [each for each, inode in there.items() if others.get(each) != inode]
        for each in (*looked_at, *(others.keys() - there.keys())):
            others.pop(each, None)
        stats = [stat for each in looked_at if (stat := proc.read_stat(each)) is not None]
        found, of_it = proc.below(pid, stats)
        apart = _apart((each for each in stats if each.pid not in of_it), pid, others)
        others.update((each, there[each]) for each in apart)
        return found


def _apart(stats: Iterable[Stat], root: int, others: Mapping[int, int]) -> set[int]:
    """Return those all of whose ancestors are known, none of them the root."""
    parents = {each.pid: each.ppid for each in stats if each.pid != root}
    apart: set[int] = set()
    for each in parents:
        way: set[int] = set()
        at = each
        while at in parents and at not in apart and at not in way:
            way.add(at)
            at = parents[at]
        if at == 0 or at in apart or at in others:
            apart |= way
    return apart
