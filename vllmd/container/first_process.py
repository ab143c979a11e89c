"""PID 1 of a container: reaps what nobody waits for, hands signals on, keeps a daemon running.

The kernel gives orphans to the first process, and gives it no signal that it has no handler for.
The daemon cannot be that process itself: who waits for any child takes from others the exit codes
of theirs. Its end would also be the end of all engines, which outlive it everywhere else.
Source: pid_namespaces(7).
"""

import contextlib
import os
import select
import signal
import sys
import time

from vllmd.shim import proc

HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
STOPS = frozenset(HANDED_ON) - {signal.SIGHUP}
TAKEN = frozenset({*HANDED_ON, signal.SIGCHLD})
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
LONG_S = 60.0
"""A daemon that ran for so long gets the first pause again."""
NOT_STARTED = 71
"""The exit code if no daemon could be started. Source: EX_OSERR of sysexits.h."""
REST_S = 20.0
"""How long what is left may take to end after the last daemon."""


def run(command: list[str]) -> int:
    """Run a daemon until it ends because it was asked to, or ends with nothing to look after.

    Returns: the code to exit with: the daemon's, or 128 and the number of the signal that ended it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    return FirstProcess(command).run()


class FirstProcess:
    """One daemon after another, and whatever else falls to this process."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._daemon: int | None = None
        self._code = 0
        self._stopping = False
        self._pause_s = FIRST_PAUSE_S
        self._started_at = 0.0
        self._due: float | None = None
        """When the next daemon is started, by the monotonic clock."""

    def run(self) -> int:
        """Run to the end. Returns: as the function `run`."""
        self._start()
        while self._daemon is not None or self._due is not None:
            self._wait(self._due)
            if self._due is not None and time.monotonic() >= self._due:
                self._start()
        self._end_rest()
        return self._code

    def _start(self) -> None:
        """Start a daemon that has the signals as a program expects them."""
        self._due, self._started_at = None, time.monotonic()
        try:
            self._daemon = os.posix_spawn(
                self._command[0], self._command, os.environ, setsigmask=[], setsigdef=TAKEN
            )
        except OSError as error:  # no memory, no process left: engines serve on meanwhile
            self._code = NOT_STARTED
            self._start_later(f"no daemon can be started: {error.strerror}")

    def _wait(self, until: float | None) -> None:
        """Take one signal, or wait until then; collect all that have ended."""
        left_s = 3600.0 if until is None else max(0.0, until - time.monotonic())
        taken = signal.sigtimedwait(TAKEN, left_s)
        number = taken.si_signo if taken else None
        if number in HANDED_ON:
            self._hand_on(number)
        self._reap()

    def _hand_on(self, number: int) -> None:
        if number in STOPS:
            self._stopping, self._due = True, None
        if self._daemon is not None:
            os.kill(self._daemon, number)

    def _reap(self) -> None:
        """Collect every child that has ended, ours or inherited."""
        for pid, status in proc.collect_ended():
            if pid == self._daemon:
                self._ended(os.waitstatus_to_exitcode(status))

    def _ended(self, code: int) -> None:
        """Note how the daemon ended, and start another if engines are left without one."""
        self._daemon = None
        self._code = 128 - code if code < 0 else code
        if self._stopping or code == 0:
            return
        if time.monotonic() - self._started_at >= LONG_S:
            self._pause_s = FIRST_PAUSE_S
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        self._start_later(f"the daemon ended {how}")

    def _start_later(self, why: str) -> None:
        """Start another daemon after a pause, if engines are left without one."""
        if not _has_children():
            return
        _say(f"{why}; its engines serve on; another one in {self._pause_s:g} s")
        self._due = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _end_rest(self) -> None:
        """Ask what is left to end: a shim then ends its engine. The kernel kills the rest."""
        deadline = time.monotonic() + REST_S
        for pid in _children():
            os.kill(pid, signal.SIGTERM)
        while _has_children() and time.monotonic() < deadline:
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, deadline - time.monotonic()))
            self._reap()


def _has_children() -> bool:
    """Tell whether there is a child, ended or not, without collecting it."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    """Return this process's children; none if the kernel cannot list them now."""
    try:
        return [each.pid for each in proc.all_processes() if each.ppid == os.getpid()]
    except OSError:
        return []


def _say(text: str) -> None:
    """Print a line, if somebody takes it now: nothing may hold this process up, or end it."""
    with contextlib.suppress(OSError, ValueError):
        fd = sys.stderr.fileno()
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, f"vllmd: first process: {text}\n".encode())
