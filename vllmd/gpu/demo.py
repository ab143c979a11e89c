"""A GPU that does not exist, for `vllmd run --demo` on a machine without one; it says so.

It speaks as the reader does (`wire.py`), with `source` demo. Its memory is held by the stand-in's
processes below the daemon, as that of a real GPU would be by vLLM's; it computes while these do.
"""

import os
import select
import sys
import time
from collections.abc import Sequence

from vllmd.gpu import wire
from vllmd.gpu.rows import CLOCK_REASONS
from vllmd.shim import proc
from vllmd.util.units import GIB, MIB

UUID = "DEMO-0000-0000-0000-000000000000"
NAME = "Demo GPU (no hardware)"
TOTAL = 80 * GIB
RESERVED = 512 * MIB
CORE = "VLLM::EngineCore"
ASLEEP = f"{CORE} asleep"
CONTEXT = 862 * MIB
"""What an engine holds that sleeps, as vLLM 0.25 did on an H200."""
SHARE = 0.9
"""How much of its memory an engine takes: vLLM allocates all of its share at the start."""
IDLE_W, BUSY_W = 70.0, 610.0


class DemoGpu:
    """One GPU, as the processes below a parent would use it."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._cpu_s: dict[int, float] = {}
        self._at = time.monotonic()
        self._energy_j = 0.0
        self._busy = 0.0

    def processes(self) -> list[tuple[int, int]]:
        """Return who holds memory: the cores of engines share what an engine takes."""
        cores = [
            stat.pid
            for stat in proc.descendants(self._parent)
            if proc.command_line(stat.pid).startswith(CORE)
        ]
        awake = [pid for pid in cores if not proc.command_line(pid).startswith(ASLEEP)]
        share = int((TOTAL - RESERVED) * SHARE / max(1, len(awake)))
        return [(pid, share if pid in awake else CONTEXT) for pid in cores]

    def look(self) -> dict[str, float]:
        """Return the figures that change all the time, by `Row.key`."""
        holders = self.processes()
        now = time.monotonic()
        seconds, self._at = max(1e-3, now - self._at), now
        cpu_s = {pid: _cpu_s(pid) for pid, _ in holders}
        worked_s = sum(used - self._cpu_s.get(pid, used) for pid, used in cpu_s.items())
        self._cpu_s = cpu_s
        self._busy = min(1.0, 4 * worked_s / seconds)
        power_w = IDLE_W + (BUSY_W - IDLE_W) * self._busy
        self._energy_j += power_w * seconds
        used = sum(size for _, size in holders)
        reasons = dict.fromkeys(CLOCK_REASONS, 0.0)
        reasons["gpu_idle"] = float(self._busy == 0)
        return {
            "memory_total_bytes": float(TOTAL),
            "memory_reserved_bytes": float(RESERVED),
            "memory_used_bytes": float(used),
            "memory_free_bytes": float(TOTAL - RESERVED - used),
            "busy_ratio": self._busy,
            "memory_bus_busy_ratio": self._busy / 3,
            "power_watts": power_w,
            "temperature_celsius:gpu": 34 + 40 * self._busy,
            "clock_hertz:sm": 1.98e9 if self._busy else 0.345e9,
            "clock_hertz:memory": 2.619e9,
            **{f"clock_event_active:{reason}": value for reason, value in reasons.items()},
        }

    def look_slowly(self) -> dict[str, float]:
        """Return the figures of its health, by `Row.key`: it has no ills."""
        return {
            "power_limit_watts": 700.0,
            "energy_joules_total": self._energy_j,
            "temperature_celsius:memory": 40.0 + 30 * self._busy,
            "ecc_errors_total:corrected": 0.0,
            "ecc_errors_total:uncorrected": 0.0,
            "remapped_rows:corrected": 0.0,
            "remapped_rows:uncorrected": 0.0,
            "row_remap_pending": 0.0,
            "row_remap_failed": 0.0,
            "recovery_action": 0.0,
            "clock_event_seconds_total:hw_thermal": 0.0,
            "clock_event_seconds_total:hw_power_brake": 0.0,
        }

    def listing(self) -> dict[str, object]:
        """Return who holds how much, with the memory of that moment."""
        holders = self.processes()
        used = sum(size for _, size in holders)
        memory = {
            "total": TOTAL,
            "reserved": RESERVED,
            "free": TOTAL - RESERVED - used,
            "used": used,
        }
        return {UUID: {"memory": memory, "processes": holders}}


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process. Source: proc(5), fields 14 and 15."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _send(kind: str, **content: object) -> None:
    sys.stdout.buffer.write(wire.encode(kind, **content))
    sys.stdout.buffer.flush()


def _values(kind: str, values: dict[str, float]) -> None:
    _send(
        kind,
        at=time.time(),
        values={UUID: values},
        lost={},
        errors={},
        took_s=0.0,
        cpu_s=time.process_time(),
        rss=0,
    )


def main(arguments: Sequence[str]) -> int:
    """Play a GPU until standard input is closed; `arguments` are seconds: fast, processes, slow."""
    gpu = DemoGpu(os.getppid())
    _send("hello", source="demo", driver="", nvml="", cuda="", library="", pid=os.getpid())
    device = {"uuid": UUID, "index": 0, "name": NAME, "pci_bus_id": "none"}
    _send("devices", devices=[device])
    periods = dict(zip(("fast", "processes", "slow"), map(float, arguments), strict=True))
    due = dict.fromkeys(periods, time.monotonic())
    while True:
        now = time.monotonic()
        for what in [each for each, at in due.items() if at <= now]:
            due[what] = now + periods[what]
            if what == "fast":
                _values("fast", gpu.look())
            elif what == "slow":
                _values("slow", gpu.look_slowly())
            else:
                _send("processes", at=time.time(), took_s=0.0, devices=gpu.listing())
        left = max(0.0, min(due.values()) - time.monotonic())
        if select.select([0], [], [], left)[0]:
            words = os.read(0, 4096)
            if not words:
                return 0
            due["processes"] = 0.0
