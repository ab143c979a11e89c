"""What only a kernel of its own with cgroup v2 shows: devices, memory, a reboot."""

import json
import os
import subprocess
import time
from typing import Any

from . import devices, lifecycle, package
from .cases import Case, load_rows, run
from .tools import EXPORTER, get, ready, sh, show, until

DEVICE = "/dev/vda"
"""A device that an engine has no business with."""


TRIES = 3
"""A limit set below what is used makes the kernel kill until it is met: now and then it takes the
shim as well, before what the engine had counts as free."""


PATHS = ["/dev/null", "/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm", DEVICE]
DAEMON = "vllmd-daemon.service"
READ = """
import json, pathlib, sys
sys.path.insert(0, "/usr/lib/vllmd/site")
from vllmd.doctor.control_groups import read_cpus, read_memory
from vllmd.shim.cgroup import oom_kills
group = pathlib.Path("/proc/{pid}/cgroup")
cpus, memory = read_cpus({number}, group), read_memory(group)
print(json.dumps([cpus.available, memory.available, oom_kills()]))
"""


def stacks() -> str:
    """Take the stacks of an engine as the daemon does: its user, with its unit's rights."""
    core = sh("pgrep -o -f VLLM::EngineCore")
    given = show(DAEMON, "AmbientCapabilities")
    inside = f"-p User=vllmd -p NoNewPrivileges=yes -p 'CapabilityBoundingSet={given}'"
    ambient = f"-p 'AmbientCapabilities={given}' -p SystemCallFilter=@system-service"
    run = f"systemd-run --pipe --wait -q {inside} {ambient} -p SystemCallErrorNumber=EPERM"
    return sh(f"{run} /opt/t/py-spy dump --nonblocking --pid {core}")


def engine_unit(pid: int) -> str:
    """Return the unit that a process belongs to."""
    with open(f"/proc/{pid}/cgroup") as file:
        return file.read().strip().rsplit("/", 1)[-1]


def gpu_nodes(row: dict[str, Any]) -> None:
    """Have root's unit make the GPU's device files, as the driver would."""
    devices.plug_in()
    assert sh("ls /dev/nvidia0").endswith("No such file or directory")
    sh("systemctl restart vllmd-gpu-setup")
    row["said"] = sh("journalctl -u vllmd-gpu-setup -o cat | grep driver")
    assert "driver 570.86.15, devices: nvidia0" in row["said"], sh("journalctl -u vllmd-gpu-setup")
    row["nodes"] = sh("stat -c '%n %a %t:%T' /dev/nvidia* | tr '\\n' ' '")
    assert "/dev/nvidia0 666 c3:0" in row["nodes"]
    assert "/dev/nvidia-uvm-tools 666 ec:1" in row["nodes"]


def opens_its_devices_only(row: dict[str, Any]) -> None:
    """Open devices from the engine's and the daemon's control groups."""
    with open("/sys/fs/cgroup/cgroup.controllers") as file:
        assert "memory" in file.read()
    before = ready()
    # groups of devices that came after a unit began are closed to it: both begin anew
    assert not may_open("/dev/nvidia0", engine_unit(before["pid"]))
    sh("systemctl restart vllmd-daemon; vllmd restart chat --wait --timeout 120")
    unit = engine_unit(ready(other_than=before["run_id"])["pid"])
    row["may open"] = {
        name: [path for path in PATHS if may_open(path, folder)]
        for name, folder in (("engine", unit), ("daemon", DAEMON), ("nobody's", None))
    }
    assert row["may open"]["engine"] == PATHS[:4]
    assert row["may open"]["daemon"] == PATHS[:3]
    assert row["may open"]["nobody's"] == PATHS


def limits_are_read(row: dict[str, Any]) -> None:
    """Limit the engine's unit, and let the package's vllmd read what the kernel has then."""
    pid = ready()["pid"]
    unit = engine_unit(pid)
    sh(f"systemctl set-property --runtime {unit} CPUQuota=150% MemoryMax=700M")
    row["read"] = limits(pid)
    assert row["read"] == [1.5, 700 << 20]
    sh(f"systemctl set-property --runtime {unit} CPUQuota= MemoryMax=infinity")
    row["without"] = limits(pid)
    assert row["without"][0] == 2


def limits(pid: int) -> list[float]:
    """Return the processors and the memory that the package's vllmd reads for a process."""
    done = subprocess.run(
        ["python3", "-B", "-c", READ.format(pid=pid, number=pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(each) for each in json.loads(done.stdout)[:2]]


def stacks_need_the_drop_in(row: dict[str, Any]) -> None:
    """Take stacks where the kernel lets nobody look, without the drop-in and with it."""
    sh("sysctl -w kernel.yama.ptrace_scope=1")
    row["without"] = stacks().splitlines()[-1]
    assert "Permission" in row["without"] or "Operation not permitted" in row["without"], row
    folder = "/etc/systemd/system/vllmd-daemon.service.d"
    os.makedirs(folder, exist_ok=True)
    sh(f"cp /usr/share/doc/vllmd/examples/drop-ins/py-spy.conf {folder}/")
    sh("systemctl daemon-reload; systemctl restart vllmd-daemon")
    ready()
    row["with"] = stacks().splitlines()[-1].strip()
    assert "_run_module_as_main" in row["with"], row
    os.unlink(f"{folder}/py-spy.conf")
    sh("systemctl daemon-reload; systemctl restart vllmd-daemon")
    ready()


def a_day_later(row: dict[str, Any]) -> None:
    """Set the clock a day on: nothing is tidied away."""
    before = ready()
    sh("date -s '+25 hours'; systemctl start systemd-tmpfiles-clean")
    until("a poll after it", lambda: "vllmd_engine_up" in get(f"{EXPORTER}/metrics"))
    time.sleep(10)
    after = ready()
    assert (after["run_id"], after["pid"]) == (before["run_id"], before["pid"])
    package.unchanged(row)


def engine_out_of_memory(row: dict[str, Any]) -> None:
    """Have the kernel kill the engine, for want of memory in its own unit."""
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
    until("one shim", lambda: sh("pgrep -fc vllmd/shim/__main__") == "1")
    until("one core", lambda: sh("pgrep -fc VLLM::EngineCore") == "1")


CASES = (
    Case("GPU nodes are made by root's unit, in the driver's way", gpu_nodes),
    Case(
        "cgroup v2: engine and daemon may open the GPU's devices and no others, even as root",
        opens_its_devices_only,
    ),
    Case("cgroup v2: limits of the engine's unit are read: memory.max, cpu.max", limits_are_read),
    Case(
        "py-spy where the kernel lets nobody look: closed, and open with the drop-in",
        stacks_need_the_drop_in,
    ),
    Case("a day later: it serves on, and dpkg --verify finds nothing changed", a_day_later),
    Case(
        "OOM kill of the engine in its own unit: the daemon untouched, serving again",
        engine_out_of_memory,
    ),
)


def main() -> None:
    """Run the lifecycle, then what is special; leave an engine serving."""
    lifecycle.main()
    for each in CASES:
        run(each)


def may_open(path: str, unit: str | None) -> bool:
    """Try to open a device as root, inside a unit's cgroup or outside."""
    slice_ = "" if unit == DAEMON else "system-vllmd\\x2dengine.slice/"
    folder = f"/sys/fs/cgroup/system.slice/{slice_}{unit}"

    def enter() -> None:
        with open(f"{folder}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))

    command = ["/usr/bin/head", "-c", "1", path]
    result = subprocess.run(
        command, preexec_fn=enter if unit else None, capture_output=True, check=False
    )
    return result.returncode == 0


def rebooted(row: dict[str, Any]) -> None:
    """Boot again: the engine is started by itself."""
    now = ready()
    assert not now["adopted"]
    until("the page", lambda: "vllm:num_requests_running" in get(f"{EXPORTER}/metrics"))
    row["uptime_s"] = round(float(sh("cut -d' ' -f1 /proc/uptime")))


def after_reboot() -> None:
    """Look at what a machine does that was started again and is left alone."""
    load_rows()
    run(Case("reboot with a request in flight: the engine serves again by itself", rebooted))
