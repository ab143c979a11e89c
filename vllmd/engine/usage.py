"""What an engine's whole tree of processes costs: CPU time, memory, number."""

import attrs
import psutil

from vllmd.util.clock import Clock

MAX_AGE_S = 1.0


@attrs.frozen
class Usage:
    """One reading. `cpu_s` never falls while the same shim lives: ended processes stay counted."""

    cpu_s: float
    resident_bytes: int
    processes: int


class TreeUsage:
    """Reads the tree below a shim; the shim itself is not counted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._run_id: str | None = None
        self._last: Usage | None = None
        self._read_at = float("-inf")

    def read(self, run_id: str, shim_pid: int) -> Usage | None:
        """Return what the tree of a run costs now, read at most a second ago.

        Memory is the sum of resident sets: pages that processes share are counted for each.

        Returns: None if the shim is gone.
        """
        if run_id != self._run_id:
            self._run_id, self._cpu_s, self._last = run_id, {}, None
        elif self._last and self._clock.monotonic() - self._read_at <= MAX_AGE_S:
            return self._last
        try:
            processes = psutil.Process(shim_pid).children(recursive=True)
        except psutil.Error:
            return None
        resident = alive = 0
        for process in processes:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
                    identity = (process.pid, process.create_time())
            except psutil.Error:
                continue
            alive += 1
            self._cpu_s[identity] = times.user + times.system
        self._read_at = self._clock.monotonic()
        self._last = Usage(sum(self._cpu_s.values()), resident, alive)
        return self._last
