"""The host's memory, for GPUs that have none of their own (GB10, Jetson). Standard library only.

Source: proc(5), /proc/meminfo. vLLM takes the same figure as free on such a GPU: psutil's
`available` (vllm/utils/mem_utils.py, MemorySnapshot, for what CUDA calls integrated).
"""

from pathlib import Path
from typing import NamedTuple

MEMINFO = Path("/proc/meminfo")


LEAST_ROOM_BYTES = 4 * 1024**3
ROOM_RATIO = 0.15
"""What such a host needs beside an engine's share: vLLM's own processes, files on their way to the
GPU, the system. 18 GiB of a GB10's 119.7 GiB."""


class HostMemory(NamedTuple):
    """In bytes."""

    total: int
    available: int
    """What programs can still get, without swapping."""

    def as_gpu_memory(self) -> dict[str, int]:
        """Return it under NVML's names, for a GPU that shares it."""
        used = self.total - self.available
        return {"total": self.total, "free": self.available, "used": used, "reserved": 0}


def read(meminfo: Path = MEMINFO) -> HostMemory | None:
    """Return the host's memory; None if it cannot be read."""
    try:
        lines = meminfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    sizes = {}
    for line in lines:
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable", "MemFree"):
            sizes[name] = int(rest.split()[0]) * 1024
    if "MemTotal" not in sizes:
        return None
    return HostMemory(sizes["MemTotal"], sizes.get("MemAvailable", sizes.get("MemFree", 0)))


def room_bytes(total: int) -> int:
    """Return what a host whose GPU shares its memory needs beside what engines take."""
    return max(LEAST_ROOM_BYTES, int(ROOM_RATIO * total))


def largest_share(total: int) -> float:
    """Return the largest gpu_memory_utilization that leaves that room, in hundredths."""
    return max(1, int(100 * (1 - room_bytes(total) / total))) / 100
