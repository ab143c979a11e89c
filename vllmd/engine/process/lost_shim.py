"""A shim whose folder was removed while it runs: found by its socket, and asked to put it back.

Without `run.json` and `shim.sock` a daemon that starts would take the engine for one that does not
run, and start a second beside it, for the same port and the same GPUs.
"""

import contextlib
import os
import signal
from pathlib import Path

from vllmd.shim import proc, protocol

SOCKETS = "/proc/self/net/unix"
"""Sockets with the path that each was bound to, which stays when the path is removed.

Source: unix(7), net/unix/af_unix.c `unix_seq_show`: eight columns, the last two inode and path.
"""
PROGRAM = "vllmd/shim/__main__.py"


def find(directory: Path, sockets: str = SOCKETS) -> int | None:
    """Find the shim of an engine's folder whose socket is bound, but not there any more.

    Returns: its process id; None if the socket is there, or there is no such shim. One of another
        container is none of ours: its processes cannot be seen, or it sees its socket at that path.
    """
    path = directory / protocol.SOCKET_NAME
    if path.exists():
        return None
    bound = _bound(os.fsencode(path), sockets)
    if not bound:
        return None
    shims = (stat.pid for stat in proc.all_processes() if _is_shim(stat))
    return next((pid for pid in shims if _holds(pid, bound) and not _sees(pid, path)), None)


def ask_back(pid: int) -> None:
    """Ask a shim to put its folder back; one of an older version ignores that."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGHUP)


def ask_end(pid: int) -> None:
    """Ask a shim to end its engine, as `kill` does."""
    with contextlib.suppress(OSError):
        proc.ask_end(pid)


def _bound(path: bytes, sockets: str) -> set[str]:
    """Return how `/proc/PID/fd` shows the sockets that were bound to a path."""
    try:
        with open(sockets, "rb") as file:
            rows = [line.rstrip(b"\n").split(None, 7) for line in file]
    except OSError:
        return set()
    return {f"socket:[{row[6].decode()}]" for row in rows if len(row) == 8 and row[7] == path}


def _is_shim(stat: proc.Stat) -> bool:
    return not stat.is_zombie and proc.command_line(stat.pid).endswith(PROGRAM)


def _sees(pid: int, path: Path) -> bool:
    """Tell whether a path is there for a process, or nobody can say: it may have other mounts.

    Source: proc_pid_root(5): the file system as that process sees it, with its mounts.
    """
    try:
        os.lstat(f"/proc/{pid}/root{path}")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _holds(pid: int, sockets: set[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):  # it has ended, or is somebody else's
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                if os.readlink(f"{folder}/{name}") in sockets:
                    return True
    return False
