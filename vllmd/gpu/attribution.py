"""Which of the processes that hold GPU memory are ours, and whose they are.

A process belongs to an engine if it is below the engine's shim, which is the subreaper of all of
its tree. It was ours if it was seen there before, is in a session that an engine was started in, or
in the control group of an engine's unit. Everything else is foreign, and left alone.
"""

import contextlib
import itertools
import pwd
from collections.abc import Collection, Mapping
from pathlib import Path

from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.state_file import GpuState
from vllmd.shim import proc

UNIT = "/vllmd-engine@"
WEIGHTS_OF = "weights of "
"""Before an engine's name: what keeps its weights, which is no process of the engine."""
MAX_DEPTH = 64
TITLE_WORDS = 3


def identify(
    pid: int, size: int | None, shims: Mapping[int, str], notes: GpuState, root: str = "/proc"
) -> Holder:
    """Say whose a process is, and note it if it is an engine's, or keeps the weights of one.

    `shims` are the processes beside the engines that run, with the names of these; those beside
    what keeps weights have them behind `WEIGHTS_OF`.
    """
    stat = proc.read_stat(pid)
    if stat is None or stat.is_zombie:
        return _ended(pid, size, notes)
    identity = pid, stat.start_ticks
    name, user = title(proc.command_line(pid)) or stat.name, _user(pid, root)
    engine = _engine_above(stat, shims)
    if engine is not None:
        notes.processes.pop(identity, None)  # the newest last: the oldest are forgotten first
        notes.processes[identity] = engine
        _note_session(stat.session, engine, notes)
        owner = Owner.WEIGHTS if engine.startswith(WEIGHTS_OF) else Owner.ENGINE
        engine = engine.removeprefix(WEIGHTS_OF)
        return Holder(pid, size, owner, engine, name, user, stat.start_ticks)
    was = notes.processes.get(identity) or _engine_of_session(stat.session, notes)
    if was is None and _in_engine_unit(pid, root):
        was = "unknown"
    owner = Owner.FOREIGN if was is None else Owner.ORPHAN
    return Holder(pid, size, owner, was, name, user, stat.start_ticks)


def _note_session(session: int, engine: str, notes: GpuState) -> None:
    notes.sessions[session] = engine
    if (leader := proc.read_stat(session)) is not None:
        notes.leaders[session] = leader.start_ticks


def _engine_of_session(session: int, notes: GpuState) -> str | None:
    """Return whose a session is; None if nobody's, or its id is that of a later one by now."""
    engine, began = notes.sessions.get(session), notes.leaders.get(session)
    if engine is None or _is_another(proc.read_stat(session), began):
        return None
    return engine


def _is_another(leader: proc.Stat | None, began: int | None) -> bool:
    """Tell whether the first process of a session is a later one that has its id by now."""
    return leader is not None and began is not None and leader.start_ticks != began


def title(command_line: str) -> str:
    """Return what a process is called, without its options: these may hold what is private."""
    words = itertools.takewhile(lambda word: not word.startswith("-"), command_line.split())
    return " ".join(itertools.islice(words, TITLE_WORDS))


def _ended(pid: int, size: int | None, notes: GpuState) -> Holder:
    """Say whose memory it is that an ended process has not given back, or one we cannot see."""
    for (known, start_ticks), engine in notes.processes.items():
        if known == pid:
            name = f"a process of {engine} that has ended"
            return Holder(pid, size, Owner.ORPHAN, engine, name, "", start_ticks)
    return Holder(pid, size, Owner.FOREIGN)


def forget_ended(notes: GpuState, listed: Collection[int]) -> None:
    """Forget processes and sessions of which nothing lives: their ids are used again.

    Those that are still `listed` stay: their memory has not come back yet. The list of all
    processes is read only if there is something to forget.
    """
    for pid, start_ticks in list(notes.processes):
        stat = proc.read_stat(pid)
        ended = stat is None or stat.is_zombie
        if (ended and pid not in listed) or (stat and stat.start_ticks != start_ticks):
            del notes.processes[pid, start_ticks]
    leaders = {session: proc.read_stat(session) for session in notes.sessions}
    over = {s for s, leader in leaders.items() if _is_another(leader, notes.leaders.get(s))}
    gone = {s for s, leader in leaders.items() if leader is None}
    if gone:
        with contextlib.suppress(OSError):  # who lives is not known: nothing is forgotten yet
            over |= gone - {stat.session for stat in proc.all_processes() if not stat.is_zombie}
    for session in over:
        del notes.sessions[session]
        notes.leaders.pop(session, None)


def _engine_above(stat: proc.Stat, shims: Mapping[int, str]) -> str | None:
    above: proc.Stat | None = stat
    for _ in range(MAX_DEPTH):
        if above is None or above.ppid <= 1:
            return None
        if above.ppid in shims:
            return shims[above.ppid]
        above = proc.read_stat(above.ppid)
    return None


def _in_engine_unit(pid: int, root: str) -> bool:
    try:
        return UNIT in Path(root, str(pid), "cgroup").read_text()
    except OSError:
        return False


def _user(pid: int, root: str) -> str:
    try:
        uid = Path(root, str(pid)).stat().st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
