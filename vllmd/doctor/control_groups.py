"""How much of the host's memory and processors an engine may use, by its control groups.

Source: kernel documentation, cgroup-v2 (`memory.max`, `cpu.max`) and cgroup-v1
(`memory.limit_in_bytes`, `cpu.cfs_quota_us`); cgroup_namespaces(7) for what a container sees.
"""

import os
from pathlib import Path

import attrs

from vllmd.gpu import host_memory
from vllmd.gpu.host_memory import MEMINFO
from vllmd.util.control_groups import CGROUPS, OWN, groups_of, words


@attrs.frozen
class MemoryEstimate:
    """In bytes."""

    available: int
    limited: bool
    """It is a limit of a control group, and not what the host has."""


@attrs.frozen
class CpuEstimate:
    """In processors; a part of one is so much of its time."""

    available: float
    limited: bool
    """It is a quota of a control group, and not how many a process may run on."""


def read_memory(
    cgroup: Path = OWN, meminfo: Path = MEMINFO, root: Path = CGROUPS
) -> MemoryEstimate | None:
    """Return the host's memory, or the smallest limit of the control groups around a process."""
    host = host_memory.read(meminfo)
    total = host.total if host else None
    limits = [
        int(said)
        for version, folder in groups_of("memory", cgroup, root)
        for said in words(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        if said.isdigit()
    ]
    smallest = min(limits, default=None)
    if smallest is not None and (total is None or smallest < total):
        return MemoryEstimate(smallest, True)
    return None if total is None else MemoryEstimate(total, False)


def read_cpus(pid: int = 0, cgroup: Path = OWN, root: Path = CGROUPS) -> CpuEstimate | None:
    """Return on how many processors a process may run, or the smallest quota around it.

    `pid` 0 is this process. Returns: None if the process is gone.
    """
    try:
        count = len(os.sched_getaffinity(pid))
    except OSError:
        return None
    smallest = min((_quota(*group) for group in groups_of("cpu", cgroup, root)), default=count)
    return CpuEstimate(smallest, True) if smallest < count else CpuEstimate(count, False)


def _quota(version: int, folder: Path) -> float:
    """Return the processors that a group may use; infinite without a quota."""
    if version == 2:
        said = words(folder / "cpu.max")
    else:
        said = [*words(folder / "cpu.cfs_quota_us"), *words(folder / "cpu.cfs_period_us")]
    if len(said) != 2 or not all(word.isdigit() for word in said) or int(said[1]) == 0:
        return float("inf")  # 'max', '-1', or a group without that controller
    return int(said[0]) / int(said[1])
