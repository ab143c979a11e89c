"""What `/proc` says about processes: parents, sessions, start times; and how one is asked to end.

A process is known by its id *and* its start time, because ids are used again.
"""

import errno
import functools
import os
import signal
import time
from collections.abc import Iterable, Iterator

HOST_NAMESPACE = "pid:[4026531836]"
"""Source: include/linux/proc_ns.h, PROC_PID_INIT_INO."""
_NOT_THERE = frozenset({errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM})
"""What is said of a process that has ended, and of one that is hidden (`hidepid`)."""


class Stat:
    """One process as `/proc/PID/stat` shows it; `start_ticks` counts clock ticks since boot.

    `cpu_ticks` are those that it has used, `resident_pages` what it has of memory.
    """

    __slots__ = (
        "cpu_ticks",
        "name",
        "pid",
        "ppid",
        "resident_pages",
        "session",
        "start_ticks",
        "state",
    )

    def __init__(
        self,
        pid: int,
        name: str,
        state: str,
        ppid: int,
        session: int,
        start_ticks: int,
        cpu_ticks: int = 0,
        resident_pages: int = 0,
    ) -> None:
        self.pid = pid
        self.name = name
        self.state = state
        self.ppid = ppid
        self.session = session
        self.start_ticks = start_ticks
        self.cpu_ticks = cpu_ticks
        self.resident_pages = resident_pages

    @property
    def is_zombie(self) -> bool:
        """Tell whether it has ended and only waits to be reaped."""
        return self.state in "ZX"


def parse_stat(text: bytes) -> Stat:
    """Read the content of `/proc/PID/stat`; the name may hold spaces and parentheses.

    Source: proc(5): fields 1 to 4 are pid, comm, state, ppid; 6 session; 14 and 15
    utime and stime; 22 starttime; 24 rss.
    """
    head, _, tail = text.rpartition(b")")
    pid, _, name = head.partition(b" (")
    fields = tail.split()
    return Stat(
        pid=int(pid),
        name=name.decode(errors="replace"),
        state=fields[0].decode(),
        ppid=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        resident_pages=int(fields[21]),
    )


def read_stat(pid: int) -> Stat | None:
    """Read one process.

    Returns: None if there is no such process, or it cannot be read.
    """
    try:
        return look_at(pid)
    except OSError:
        return None


def look_at(pid: int) -> Stat | None:
    """Read one process, for those who do something because it is gone.

    Returns: None if there is no such process.
    Raises: OSError: that is not known: this process, or the host, has no descriptor left.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return parse_stat(file.read())
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
    except (ValueError, IndexError):
        pass
    return None


def all_processes() -> Iterator[Stat]:
    """Yield every process of this PID namespace, zombies too, in no order.

    One that ends meanwhile is left out, and one that begins may be. Source: proc(5).

    Raises: OSError: they cannot be read, so that nobody takes what was not seen for gone.
    """
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = look_at(int(entry))
            if stat is not None:
                yield stat


def descendants(pid: int) -> list[Stat]:
    """List all living processes below `pid`, parents before children; zombies are left out.

    Raises: OSError: as `all_processes`.
    """
    return below(pid, all_processes())[0]


def below(pid: int, stats: Iterable[Stat]) -> tuple[list[Stat], set[int]]:
    """List those of `stats` that are below `pid`, and the numbers of all of them, zombies too."""
    children: dict[int, list[Stat]] = {}
    for stat in stats:
        children.setdefault(stat.ppid, []).append(stat)
    found: list[Stat] = []
    pids: set[int] = set()
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child.pid not in pids:
                pids.add(child.pid)
                waiting.append(child.pid)
                if not child.is_zombie:
                    found.append(child)
    return found, pids


def session_members(session: int) -> list[Stat]:
    """List all living processes of a session, in no order; zombies are left out.

    Raises: OSError: as `all_processes`.
    Source: setsid(2): whoever has left the session is not found by it.
    """
    return [s for s in all_processes() if s.session == session and not s.is_zombie]


def age_s(start_ticks: int) -> float:
    """Return how long ago a process was started, in seconds, however the clock was set since.

    Source: proc(5): starttime counts from the boot, with the time that the host was suspended.
    """
    up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return max(0.0, up_s - start_ticks / os.sysconf("SC_CLK_TCK"))


@functools.cache
def boot_id() -> str:
    """Return the id of this boot of the kernel, and in a container of its own start.

    Ids of processes begin anew with each start of a container, and none of its processes lives on.
    It is read once: who writes it down needs no descriptor for it then.

    Returns: ``UUID``, in a PID namespace of its own ``UUID:TICKS``, the start of its first process.
    Raises: OSError: /proc is not there.
    Source: random(4), `/proc/sys/kernel/random/boot_id`; pid_namespaces(7).
    """
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        kernel = file.read().strip()
    if os.readlink("/proc/self/ns/pid") == HOST_NAMESPACE:
        return kernel
    first = read_stat(1)
    return kernel if first is None else f"{kernel}:{first.start_ticks}"


def same_kernel(one: str, other: str) -> bool:
    """Tell whether two ids, as `boot_id` returns them, are of one boot of the kernel."""
    return one.partition(":")[0] == other.partition(":")[0]


def command_line(pid: int) -> str:
    """Return the command line of a process, or the title that it set, with spaces.

    Returns: an empty string for a thread of the kernel, a zombie, and what is gone.
    Source: proc(5), `/proc/PID/cmdline`: a program may overwrite it, as vLLM does.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def is_resource_tracker(pid: int) -> bool:
    """Tell whether it is Python's helper that removes shared memory once its users are gone.

    Killed early, it leaves `/dev/shm` full. Left alone, it ends by itself.

    Source: CPython, Lib/multiprocessing/resource_tracker.py: it runs ``-c`` with that name in it.
    """
    return "multiprocessing.resource_tracker" in command_line(pid)


def describe(stat: Stat) -> str:
    """Name a process for a person: its title and its id."""
    words = " ".join(command_line(stat.pid).split())
    return f"{words[:80] or stat.name} (pid {stat.pid})"


def offer_to_oom_killer(pid: int, root: str = "/proc") -> None:
    """Take back from a child what protection this process has from the kernel's OOM killer.

    When memory runs out, the engine is to be killed, not the shim beside it that says how it ended.

    Source: proc(5), `oom_score_adj`: a child inherits it; from -1000, never, to 1000, first.
    """
    path = f"{root}/{pid}/oom_score_adj"
    try:
        with open(path, encoding="ascii") as file:
            protected = int(file.read()) < 0
        if protected:
            with open(path, "w", encoding="ascii") as file:
                file.write("0")
    except OSError:
        return  # it is gone already, or not ours to change: it stays as it is


def collect_ended() -> Iterator[tuple[int, int]]:
    """Collect every child that has ended, ours or inherited: pid and wait status of each.

    Waits for none. Source: waitpid(2); prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def ask_end(pid: int) -> None:
    """Ask a process to end, as `kill` does; one that is stopped is continued, or it could not.

    Raises: ProcessLookupError: there is none; PermissionError: it is another user's.
    """
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
