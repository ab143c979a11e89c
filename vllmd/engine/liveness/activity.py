"""What the processes of an engine have used: read only when something stands still."""

import time

import psutil

from vllmd.engine.liveness.reading import Activity
from vllmd.shim import proc


class TreeActivity:
    """Reads the tree below one shim. Sums never fall: ended processes stay counted."""

    def __init__(self) -> None:
        self._run: tuple[int, int] | None = None
        self._cpu_s: dict[tuple[int, int], float] = {}
        self._io_bytes: dict[tuple[int, int], int] = {}

    def read(self, shim_pid: int, engine_pid: int) -> Activity | None:
        """Return what the tree has used so far.

        Returns: None if that cannot be read.
        """
        if self._run != (shim_pid, engine_pid):
            self._run, self._cpu_s, self._io_bytes = (shim_pid, engine_pid), {}, {}
        found = proc.descendants(shim_pid)
        if not found:
            return None
        for stat in found:
            identity = (stat.pid, stat.start_ticks)
            try:
                process = psutil.Process(stat.pid)
                times = process.cpu_times()
                self._cpu_s[identity] = times.user + times.system
                moved = process.io_counters()
                self._io_bytes[identity] = moved.read_chars + moved.write_chars + moved.read_bytes
            except psutil.NoSuchProcess:
                continue
            except psutil.Error:
                return None
        api = sum(used for (pid, _), used in self._cpu_s.items() if pid == engine_pid)
        core = sum(used for (pid, _), used in self._cpu_s.items() if pid != engine_pid)
        if all(stat.pid == engine_pid for stat in found):
            core = api  # a server that computes in its own process
        return Activity(api, core, sum(self._io_bytes.values()), at=time.monotonic())
