"""A shim that does not answer: continued if it was stopped, asked by a signal if it must end.

Silence proves nothing alone: the daemon or the host may be late. So an engine that is to run is
left alone however long its shim is silent, and time counts by looks, not by the clock: what the
daemon slept through counts as nothing.
"""

import signal
from collections.abc import Callable

from vllmd.engine.process import orphans
from vllmd.shim import proc
from vllmd.shim.protocol import RunRecord

STOPPED = "T"
"""The state of a process that was stopped (SIGSTOP); a debugger's is `t`. Source: proc(5)."""
STOPPED_LOOKS = 3
"""Looks in a row at a stopped shim after which it is continued: its engine's output piles up."""


class UnresponsiveShim:
    """One shim that does not answer; `look` is called at each try."""

    def __init__(self, say: Callable[[str], None], patience: int) -> None:
        """Begin; `patience` is how many looks an end that is wanted may take."""
        self._say = say
        self._patience = patience
        self._stopped = 0
        self._ending = 0

    def look(self, run: RunRecord, *, ending: bool) -> None:
        """Do what is due; `ending` if the engine is to end."""
        stat = proc.read_stat(run["shim_pid"])
        is_stopped = stat is not None and stat.state == STOPPED
        self._stopped = self._stopped + 1 if is_stopped else 0
        self._ending = self._ending + 1 if ending else 0
        if self._ending > self._patience:
            orphans.signal_shim(run, signal.SIGKILL)
        elif ending:
            orphans.ask_end(run)
        elif self._stopped >= STOPPED_LOOKS:
            self._say(f"the shim (pid {run['shim_pid']}) was stopped; it is continued")
            orphans.signal_shim(run, signal.SIGCONT)
