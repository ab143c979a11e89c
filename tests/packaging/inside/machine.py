"""What only a kernel of its own with cgroup v2 shows: devices, memory, a reboot."""

import os
import subprocess
from typing import Any

from . import lifecycle
from .cases import case, load_rows
from .tools import EXPORTER, get, ready, sh, show, until

DEVICE = "/dev/vda"
"""A device that an engine has no business with."""


TRIES = 3
"""A limit set below what is used makes the kernel kill until it is met: now and then it takes the
shim as well, before what the engine had counts as free."""


def engine_unit(pid: int) -> str:
    """Return the unit that a process belongs to."""
    with open(f"/proc/{pid}/cgroup") as file:
        return file.read().strip().rsplit("/", 1)[-1]


def main() -> None:
    """Run the lifecycle, then what is special; leave an engine serving."""
    lifecycle.main()

    @case("cgroup v2: an engine's unit may open its own devices only, even as root")
    def _(row: dict[str, Any]) -> None:
        unit = engine_unit(ready()["pid"])
        row["unit"] = unit
        with open("/sys/fs/cgroup/cgroup.controllers") as file:
            assert "memory" in file.read()
        assert may_open("/dev/null", unit)
        assert may_open(DEVICE, None)
        assert not may_open(DEVICE, unit)

    @case("OOM kill of the engine in its own unit: the daemon untouched, serving again")
    def _(row: dict[str, Any]) -> None:
        daemon = show("vllmd-daemon", "MainPID")
        for attempt in range(1, TRIES + 1):
            row["tries"] = attempt
            before = ready()
            scores = [sh(f"cat /proc/{before[key]}/oom_score_adj") for key in ("shim_pid", "pid")]
            assert scores == ["-500", "0"]
            unit = engine_unit(before["pid"])
            sh(f"systemctl set-property --runtime {unit} MemoryMax=24M MemorySwapMax=0")
            after = ready(other_than=before["run_id"])
            if after["last_exit"]["label"] == "SIGKILL":
                break
        row["exit"] = after["last_exit"]["text"]
        assert after["last_exit"]["label"] == "SIGKILL", "the shim lives to say how it ended"
        assert after["last_exit"]["diagnosis"]["cause"] == "host_out_of_memory"
        row["evidence"] = after["last_exit"]["diagnosis"]["evidence"][0]
        assert show("vllmd-daemon", "MainPID") == daemon
        assert sh("pgrep -fc vllmd/shim/__main__") == "1"
        assert sh("pgrep -fc VLLM::EngineCore") == "1"


def may_open(path: str, unit: str | None) -> bool:
    """Try to open a device as root, inside a unit's cgroup or outside."""
    folder = f"/sys/fs/cgroup/system.slice/system-vllmd\\x2dengine.slice/{unit}"

    def enter() -> None:
        with open(f"{folder}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))

    command = ["/usr/bin/head", "-c", "1", path]
    result = subprocess.run(
        command, preexec_fn=enter if unit else None, capture_output=True, check=False
    )
    return result.returncode == 0


def after_reboot() -> None:
    """Look at what a machine does that was started again and is left alone."""
    load_rows()

    @case("reboot with a request in flight: the engine serves again by itself")
    def _(row: dict[str, Any]) -> None:
        now = ready()
        assert not now["adopted"]
        until("the page", lambda: "vllm:num_requests_running" in get(f"{EXPORTER}/metrics"))
        row["uptime_s"] = round(float(sh("cut -d' ' -f1 /proc/uptime")))
