"""How much of the host's memory an engine may use."""

from pathlib import Path

import attrs

from vllmd.gpu import host_memory
from vllmd.gpu.host_memory import MEMINFO

CGROUPS = Path("/sys/fs/cgroup")


@attrs.frozen
class MemoryEstimate:
    """In bytes."""

    available: int
    limited: bool
    """It is a limit of a control group, and not what the host has."""


def read(
    cgroup: Path = Path("/proc/self/cgroup"), meminfo: Path = MEMINFO, root: Path = CGROUPS
) -> MemoryEstimate | None:
    """Return the host's memory, or the smallest limit of the control groups around a process.

    Of both hierarchies: version 2, and the memory controller of version 1.
    """
    host = host_memory.read(meminfo)
    total = host.total if host else None
    limits = list(_limits(cgroup, root))
    smallest = min(limits, default=None)
    if smallest is not None and (total is None or smallest < total):
        return MemoryEstimate(smallest, True)
    return None if total is None else MemoryEstimate(total, False)


def _limits(cgroup: Path, root: Path) -> list[int]:
    try:
        lines = cgroup.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root, "memory.max"
        elif controllers == "memory":
            top, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        for each in (group, *group.parents):
            if not each.is_relative_to(top):
                break
            try:
                said = (each / name).read_text().strip()
            except OSError:
                continue
            if said.isdigit():
                found.append(int(said))
    return found
