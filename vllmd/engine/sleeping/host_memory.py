"""Memory of the host for weights that engines put there when they fall asleep at level 1.

Source: kernel documentation, cgroup-v2 (`memory.max`, `memory.current`, `inactive_file` of
`memory.stat`) and cgroup-v1 (`memory.limit_in_bytes`, `memory.usage_in_bytes`,
`total_inactive_file`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from vllmd.util.control_groups import CGROUPS, groups_of, words

PROC = Path("/proc")
FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By version of the groups: limit, use, and which line of `memory.stat` is given up for more."""


def available(pid: int) -> int:
    """Return what a process may still take, in bytes: of the host, or of a group around it."""
    return min([psutil.virtual_memory().available, *left_of_groups(PROC / f"{pid}" / "cgroup")])


def left_of_groups(cgroup: Path, root: Path = CGROUPS) -> Iterator[int]:
    """Yield what is left of each limit around a process, in bytes."""
    for version, folder in groups_of("memory", cgroup, root):
        limit, used, cached = FILES[version]
        most, now = words(folder / limit), words(folder / used)
        if not all(len(said) == 1 and said[0].isdigit() for said in (most, now)):
            continue  # 'max', or a group without that controller
        stat = words(folder / "memory.stat")
        sizes = dict(zip(stat[::2], stat[1::2], strict=False))
        yield max(0, int(most[0]) - int(now[0]) + int(sizes.get(cached, 0)))


class WeightsMemory:
    """That of one daemon: what one sleep is about to take is not there for another."""

    def __init__(self, available: Callable[[int], int] = available) -> None:
        """Make it; `available` returns what a process may still take, in bytes."""
        self._available = available
        self._promised = 0

    def left(self, pid: int) -> int:
        """Return what a process may still take, in bytes."""
        return max(0, self._available(pid) - self._promised)

    @contextmanager
    def promised(self, size: int) -> Iterator[None]:
        """Keep so many bytes for a sleep, as long as it is under way."""
        self._promised += size
        try:
            yield
        finally:
            self._promised -= size
