"""The engine's whole tree of processes: spawned, stopped, and proven gone.

The shim is the subreaper of everything below it, so an EngineCore whose API server was killed
falls to it and not to init.
"""

import contextlib
import ctypes
import os
import signal
import time

from vllmd.shim import proc
from vllmd.shim.protocol import Spec

PR_SET_CHILD_SUBREAPER = 36
TRACKER_GRACE_S = 2.0
"""How long Python's resource trackers get to remove shared memory before they are killed too."""

_RESET_SIGNALS = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD]


def become_subreaper() -> None:
    """Make orphans below this process its own children.

    Raises: OSError: the kernel refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class EngineTree:
    """One engine from its spawn until nothing of it is left."""

    def __init__(self, spec: Spec, output_fd: int) -> None:
        """Spawn the engine in a session of its own, its output going to `output_fd`.

        Raises: OSError: the program or the working directory cannot be used.
        """
        os.chdir(spec["cwd"])
        self.started_at = time.time()
        self.pid = os.posix_spawn(
            spec["argv"][0],
            spec["argv"],
            spec["env"],
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, output_fd, 1),
                (os.POSIX_SPAWN_DUP2, output_fd, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_RESET_SIGNALS,
        )
        os.chdir("/")
        proc.offer_to_oom_killer(self.pid)
        self.start_ticks = 0
        """When it was started; 0 while that could not be read, for want of a descriptor."""
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.exited = False
        self.look_when_started()
        self.killed: list[str] = []
        self.stop_requested = False
        self._stop_deadline: float | None = None
        self._tracker_deadline: float | None = None
        self._killed_ids: set[tuple[int, int]] = set()

    def look_when_started(self) -> None:
        """Read when the main process was started, if it was not reaped yet and that can be read."""
        stat = proc.read_stat(self.pid)  # an unreaped child is there, if only as a zombie
        if stat is not None and not self.exited:
            self.start_ticks = stat.start_ticks

    def stop(self, grace_s: float) -> None:
        """Ask the main process alone to end; `sweep` kills the tree `grace_s` seconds later.

        A second call can only bring the end nearer. Raises nothing: it may have ended already.
        """
        deadline = time.monotonic() + grace_s
        if self._stop_deadline is None or deadline < self._stop_deadline:
            self._stop_deadline = deadline
        if not self.stop_requested and not self.exited:
            self.stop_requested = True
            with contextlib.suppress(ProcessLookupError):
                proc.ask_end(self.pid)

    def reap(self) -> None:
        """Collect every child that has ended, ours or inherited."""
        for pid, status in proc.collect_ended():
            if pid == self.pid:
                self.exited = True
                if os.WIFSIGNALED(status):
                    self.signal = os.WTERMSIG(status)
                else:
                    self.exit_code = os.WEXITSTATUS(status)

    def sweep(self) -> float | None:
        """Do what is due now: nothing while the main process may live, else kill what is left.

        Returns: seconds until it wants to be called again, None if only an event can change
            anything, 0.0 when the tree is empty.
        """
        self.reap()
        now = time.monotonic()
        if not self.exited:
            if self._stop_deadline is None:
                return None
            if now < self._stop_deadline:
                return self._stop_deadline - now
        left = proc.descendants(os.getpid())
        if not left and self.exited:
            return 0.0
        trackers = [s for s in left if proc.is_resource_tracker(s.pid)]
        others = [s for s in left if s not in trackers]
        if others:
            self._kill(others)
            self._tracker_deadline = None
        elif self._tracker_deadline is None:
            self._tracker_deadline = now + TRACKER_GRACE_S
        elif now >= self._tracker_deadline:
            self._kill(trackers)
        return 0.05

    def _kill(self, processes: list[proc.Stat]) -> None:
        for stat in processes:
            identity = (stat.pid, stat.start_ticks)
            title = proc.command_line(stat.pid)  # empty while a process is ending by itself
            if title and stat.pid != self.pid and identity not in self._killed_ids:
                self._killed_ids.add(identity)
                self.killed.append(proc.describe(stat))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(stat.pid, signal.SIGKILL)
