"""What an engine's whole tree of processes uses: CPU time, memory, what it reads and writes.

Bytes that come from a socket by `recv` are counted nowhere: a download shows by what it writes.

One reader of the tree, and what two ask of it: the page at each scrape, the liveness only while
something stands still.
"""

import os
import time
from collections.abc import Callable, Hashable

import attrs
import psutil

from vllmd.engine.liveness.reading import ProcessActivity, ProcessUse
from vllmd.engine.process_tree import Listing, ProcessTree
from vllmd.shim import proc
from vllmd.util.clock import Clock

MAX_AGE_S = 1.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MOST_ENDED = 1000
"""Of more processes that have ended only the sum is kept: a wrapper may run one each second."""
ENDED = (0, 0)
"""In the place of a process: all of these together."""


@attrs.frozen
class Used:
    """What one process has used until it was last looked at, and the memory it had then."""

    cpu_s: float
    resident_bytes: int = 0
    io_bytes: int = 0
    """Of `read` and `write`; `recv` and `send` on sockets are not among what the kernel counts."""
    children_cpu_s: float = 0.0
    """Of its children that have ended."""

    @property
    def total_cpu_s(self) -> float:
        """What it and its children that have ended used."""
        return self.cpu_s + self.children_cpu_s


class TreeReader:
    """Reads the tree below a shim; the shim itself is not counted."""

    def __init__(self, look: Callable[[proc.Stat], Used]) -> None:
        """`look` says what a process has used."""
        self._look = look
        self._run: Hashable = None
        self._processes = ProcessTree()
        self.used: dict[tuple[int, int], Used] = {}
        """By process id and the clock tick in which it began, as ids are used again. What ended
        stays until another run begins, so that no sum falls; of many `ENDED` has the sum."""
        self._gone: set[tuple[int, int]] = set()
        """Those that were not there at the last look, once there are many."""

    def read(
        self, run: Hashable, shim_pid: int, listing: Listing | None = None
    ) -> dict[tuple[int, int], proc.Stat]:
        """Look at what lives of a run; returns it by the keys of `used`.

        `listing` lists the processes of the host.

        Raises: psutil.Error, OSError: something cannot be looked at.
        """
        if run != self._run:
            self._run, self.used, self._gone = run, {}, set()
        living = {}
        for stat in self._processes.below(shim_pid, listing):
            try:
                used = self._look(stat)
            except psutil.NoSuchProcess:
                continue
            self.used[stat.pid, stat.start_ticks] = used
            living[stat.pid, stat.start_ticks] = stat
        if len(self.used) - len(living) > MOST_ENDED:
            self._sum_up(self.used.keys() - living.keys() - {ENDED})
        return living

    def _sum_up(self, gone: set[tuple[int, int]]) -> None:
        """Keep the sum of those that were gone before, too: a look may have missed one."""
        known = [self.used.get(ENDED, Used(0.0))]
        known += [self.used.pop(key) for key in gone & self._gone]
        self._gone = gone - self._gone
        self.used[ENDED] = Used(
            cpu_s=sum(each.cpu_s for each in known),
            io_bytes=sum(each.io_bytes for each in known),
            children_cpu_s=sum(each.children_cpu_s for each in known),
        )


@attrs.frozen
class ResourceUsage:
    """One reading. `cpu_s` never falls while the same shim lives: ended processes stay counted."""

    cpu_s: float
    resident_bytes: int
    processes: int


class TreeUsage:
    """What a tree costs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tree = TreeReader(_cpu_and_memory)
        self._run_id: str | None = None
        self._last: ResourceUsage | None = None
        self._read_at = float("-inf")

    def read(
        self, run_id: str, shim_pid: int, listing: Listing | None = None
    ) -> ResourceUsage | None:
        """Return what the tree of a run costs now, read at most a second ago.

        Memory is the sum of resident sets: pages that processes share are counted for each.

        Returns: None if the shim is gone.
        """
        recent = self._clock.monotonic() - self._read_at <= MAX_AGE_S
        if run_id == self._run_id and self._last and recent:
            return self._last
        self._run_id, self._last = run_id, None
        if proc.read_stat(shim_pid) is None:
            return None
        living = self._tree.read(run_id, shim_pid, listing)
        used = self._tree.used
        self._read_at = self._clock.monotonic()
        self._last = ResourceUsage(
            sum(each.cpu_s for each in used.values()),
            sum(used[key].resident_bytes for key in living),
            len(living),
        )
        return self._last


class TreeActivity:
    """What a tree does."""

    def __init__(self) -> None:
        self._tree = TreeReader(_cpu_and_io)

    def read(self, shim_pid: int, engine_pid: int) -> ProcessActivity | None:
        """Return what the tree has used so far.

        Returns: None if that cannot be read.
        """
        try:
            living = self._tree.read((shim_pid, engine_pid), shim_pid)
        except (psutil.Error, OSError):  # this process may be out of descriptors
            return None
        if not living:
            return None
        used = self._tree.used
        api = sum(each.cpu_s for (pid, _), each in used.items() if pid == engine_pid)
        core = sum(each.cpu_s for (pid, _), each in used.items() if pid != engine_pid)
        if all(pid == engine_pid for pid, _ in living):
            core = api  # a server that computes in its own process
        moved = sum(each.io_bytes for each in used.values())
        processes = tuple(
            ProcessUse(
                pid, stat.ppid, used[pid, begun].total_cpu_s, used[pid, begun].io_bytes, stat.state
            )
            for (pid, begun), stat in living.items()
            if pid != engine_pid or len(living) == 1
        )
        return ProcessActivity(api, core, moved, at=time.monotonic(), processes=processes)


def _cpu_and_memory(stat: proc.Stat) -> Used:
    return Used(stat.cpu_ticks / TICKS_PER_S, resident_bytes=stat.resident_pages * PAGE_BYTES)


def _cpu_and_io(stat: proc.Stat) -> Used:
    process = psutil.Process(stat.pid)
    moved = process.io_counters()
    io_bytes = moved.read_chars + moved.write_chars + moved.read_bytes
    times = process.cpu_times()
    children_cpu_s = float(times.children_user + times.children_system)
    return Used(float(times.user + times.system), 0, io_bytes, children_cpu_s)
