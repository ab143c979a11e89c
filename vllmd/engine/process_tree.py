"""The processes below one, listed again and again without reading every other one's state.

A host has thousands of processes, most of them the kernel's. One that is not below the shim cannot
come to be: a process whose parent has ended falls to an ancestor. Only its number can be given to
another one, after millions of others; so all are read again from time to time.
"""

import os

from vllmd.shim import proc
from vllmd.shim.proc import Stat

ALL_AGAIN = 32
"""After so many looks all processes are read again."""


class ProcessTree:
    """Lists what lives below a process; for one caller."""

    def __init__(self) -> None:
        self._root = 0
        self._others: set[int] = set()
        self._looks = 0

    def below(self, pid: int) -> list[Stat]:
        """List all living processes below `pid`, as `proc.descendants` does."""
        if pid != self._root or self._looks >= ALL_AGAIN:
            self._root, self._looks = pid, 0
            self._others.clear()
        self._looks += 1
        there = {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}
        self._others &= there
        looked_at = there - self._others
        stats = [stat for each in looked_at if (stat := proc.read_stat(each)) is not None]
        found, of_it = proc.below(pid, stats)
        self._others |= looked_at - of_it - {pid}
        return found
