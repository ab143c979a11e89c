"""What an engine could leave behind, looked for after its end, and removed if it is its own.

Processes are the shim's part (`orphans` for one whose shim was killed). Here: the port, shared
memory, vLLM's sockets, and GPU memory where there is a reader of it. A foreign process that is in
the way is named, never killed.
"""

import asyncio
import contextlib
import ipaddress
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs

from vllmd.config.stop_time import CLEANUP_S
from vllmd.engine.probes.port import listener_on, port_free
from vllmd.shim.proc import HOST_NAMESPACE, all_processes
from vllmd.util.clock import Clock

LIMIT_S = CLEANUP_S
"""How long an end may take to show: the kernel gives VRAM back 0.2 s after the last process."""
NOTICE_S = 1.0
"""A port that is taken for so long is somebody else's, as a rule: a person is told at once."""
POLL_S = 0.2
SHARED_TRIES = 10

T = TypeVar("T")

SHARED_MEMORY = Path("/dev/shm")
HOST_IPC_NAMESPACE = "ipc:[4026531839]"
"""Source: include/linux/proc_ns.h, PROC_IPC_INIT_INO."""
SHARED_PREFIXES = ("psm_", "sem.mp-", "torch_", "nccl-", "vllm")
"""Names that Python's multiprocessing, torch, NCCL and vLLM give to what they share."""


@attrs.frozen
class CleanupResult:
    """What was found after an end. `in_the_way` is what a person has to look at."""

    removed: tuple[str, ...] = ()
    in_the_way: tuple[str, ...] = ()
    after_s: float = 0.0


MemoryHolders = Callable[[], Awaitable[list[str] | None]]
"""Names the processes that hold GPU memory of this engine's GPUs; None where nobody knows."""


async def clean_up(
    host: str,
    port: int,
    *,
    since: float,
    ipc: Path,
    shared_memory: Path,
    clock: Clock,
    holders: MemoryHolders,
    notice: Callable[[str], None] = lambda _: None,
) -> CleanupResult:
    """Wait until the port is free and the GPU's memory is back, and remove what was left.

    `since` is when the run began, in seconds since the epoch; `ipc` is the folder of its sockets,
    `shared_memory` that of shared memory, which others use too. `notice` is told who has the port
    while it is still waited for.

    Returns: what was removed, and what is in the way of the next start after `LIMIT_S` seconds.
    """
    began, noticed = clock.monotonic(), False
    while True:
        taken, held = not await _port_free(host, port), await holders() or []
        waited_s = clock.monotonic() - began
        if not (taken or held) or waited_s >= LIMIT_S:
            break
        if taken and waited_s >= NOTICE_S and not noticed:
            noticed = True
            notice(await _port_taken(port))
        await clock.sleep(POLL_S)
    after_s = clock.monotonic() - began
    in_the_way = [*([await _port_taken(port)] if taken else []), *held]
    removed: tuple[str, ...] = await _aside(
        lambda: (*_empty(ipc), *_remove_until_gone(since, shared_memory)), ()
    )
    return CleanupResult(removed, tuple(in_the_way), after_s)


async def _port_free(host: str, port: int) -> bool:
    """Ask aside where a name has to be looked up: the daemon does not wait for a name server."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return await _aside(lambda: port_free(host, port), otherwise=True)
    return port_free(host, port)


async def _port_taken(port: int) -> str:
    who = await _aside(lambda: listener_on(port), None)
    return f"port {port} is in use by {who or 'a process of another user'}"


async def _aside(work: Callable[[], T], otherwise: T) -> T:
    """Do some work in a thread; where there is none, the next start does not wait for one."""
    try:
        return await asyncio.to_thread(work)
    except OSError:
        return otherwise


def _empty(folder: Path) -> Iterator[str]:
    """Remove the sockets of a run that is over."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
            yield str(path)


def _remove_until_gone(since: float, folder: Path) -> Iterator[str]:
    """Remove shared memory, and look again for a while at what cannot be removed yet.

    A process that is just ending still maps it, and one that is just starting cannot be looked
    into (both seen); another engine's stays in use, and is left after that while.
    """
    if _others_are_hidden():
        return
    for attempt in range(SHARED_TRIES):
        if attempt:
            time.sleep(POLL_S)
        yield from remove_shared(since, folder)
        if not any(_ours(path, since) for path in _shared(folder)):
            return


def _others_are_hidden(own: str = "/proc/self/ns") -> bool:
    """Tell whether processes that cannot be seen may use the same shared memory.

    So in a container that has the host's (`docker run --ipc=host`, `hostIPC`): what seems to be in
    use no more may be that of an engine of another container, which has the same user.
    """
    try:
        shares = os.readlink(f"{own}/ipc") == HOST_IPC_NAMESPACE
        return shares and os.readlink(f"{own}/pid") != HOST_NAMESPACE
    except OSError:
        return True


def remove_shared(since: float, folder: Path) -> Iterator[str]:
    """Remove shared memory that nobody uses any more.

    Only what is this user's, is named as an engine names it, was touched after `since` (seconds
    since the epoch), and is neither mapped nor open anywhere. If a process of this user cannot be
    looked into, nothing is removed.
    """
    candidates = {
        (about.st_dev, about.st_ino): path
        for path in _shared(folder)
        if (about := _ours(path, since)) is not None
    }
    if not candidates:
        return
    used = _used(folder)
    if used is None:
        return
    for identity, path in candidates.items():
        if identity not in used:
            with contextlib.suppress(OSError):
                path.unlink()
                yield str(path)


def _shared(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.name.startswith(SHARED_PREFIXES)]
    except OSError:
        return []


def _ours(path: Path, since: float) -> os.stat_result | None:
    try:
        about = path.lstat()
    except OSError:
        return None
    mine = about.st_uid == os.geteuid() and about.st_mtime >= since
    return about if mine and stat.S_ISREG(about.st_mode) else None


def _used(folder: Path) -> set[tuple[int, int]] | None:
    """Return device and inode of what a process of this user has open or maps in `folder`.

    Names would not do: glibc makes a semaphore under another name, maps that, and links it.
    Open files are read before maps: what is being mapped is open until it is.

    Returns: None if that cannot be known.
    """
    used: set[tuple[int, int]] = set()
    try:
        device, processes = folder.stat().st_dev, list(all_processes())
    except OSError:
        return None
    for process in processes:
        if process.pid == 1:
            continue  # init maps no engine's memory, and may not be looked into
        place = Path("/proc", str(process.pid))
        try:
            if place.stat().st_uid == os.geteuid():
                used.update(_opened(place / "fd", f"{folder}/"))
                used.update((device, inode) for inode in _mapped(place / "maps", f" {folder}/"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            return None
    return used


def _opened(folder: Path, prefix: str) -> Iterator[tuple[int, int]]:
    for entry in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(entry).startswith(prefix):
                about = os.stat(entry)
                yield about.st_dev, about.st_ino


def _mapped(maps: Path, prefix: str) -> Iterator[int]:
    """Yield inodes. Source: proc(5): address, permissions, offset, device, inode, path."""
    for line in maps.read_text(errors="replace").splitlines():
        if prefix in line:
            yield int(line.split(maxsplit=5)[4])
