"""The first program of a machine of its own: limits a group, and prints what vllmd tells in it.

It runs in the root file system of the image, as an initial one, on a kernel with cgroup v2 alone.
"""

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

GROUPS = Path("/sys/fs/cgroup")
BOX = GROUPS / "pods" / "box"
MIB = 1 << 20
MARK = "RESULT "
CHAT = "VLLMD__ENGINES__CHAT__"
HOG = "held = [bytearray(1 << 20) for _ in range(2000)]"
ENV = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "RUNTIME_DIRECTORY": "/run/vllmd",
    "STATE_DIRECTORY": "/var/lib/vllmd",
    "LOGS_DIRECTORY": "/var/log/vllmd",
    "HOME": "/var/lib/vllmd",
    f"{CHAT}MODEL": "tiny",
    f"{CHAT}EXECUTABLE": json.dumps(["/usr/bin/python3", "-c", HOG]),
}


def main() -> None:
    """Mount what a kernel has, do the cases, and switch the machine off."""
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("cgroup2", str(GROUPS))):
        subprocess.run(["/bin/mount", "-t", kind, kind, place], check=True)
    for kind, place in (("devtmpfs", "/dev"), ("tmpfs", "/run"), ("tmpfs", "/tmp")):
        subprocess.run(["/bin/mount", "-t", kind, kind, place], check=True)
    os.makedirs("/run/vllmd", exist_ok=True)
    raise_loopback()
    try:
        found = cases()
    except (OSError, ValueError, KeyError, IndexError, subprocess.SubprocessError):
        found = {"error": traceback.format_exc()}
    print(f"\n{MARK}{json.dumps(found)}", flush=True)
    Path("/proc/sysrq-trigger").write_text("o")
    time.sleep(60)


def raise_loopback() -> None:
    """Set lo up, in an image without `ip`. Source: netdevice(7), SIOCSIFFLAGS with IFF_UP."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))


def cases() -> dict[str, Any]:
    """Return what the kernel has and what vllmd tells, without a limit and with some."""
    before = read_in(GROUPS / "free", {})
    pods = {"memory.max": str(400 * MIB), "cpu.max": "max 100000"}
    for name, text in (("pods", pods), ("pods/box", {})):
        folder = GROUPS / name
        (folder.parent / "cgroup.subtree_control").write_text("+memory +cpu")
        folder.mkdir()
        for file, value in text.items():
            (folder / file).write_text(value)
    nested = read_in(BOX, {})
    limited = read_in(BOX, {"memory.max": str(300 * MIB), "cpu.max": "150000 100000"})
    shown = in_own_namespace()
    return {"before": before, "nested": nested, "limited": limited, **shown}


READ = """
import json
from vllmd.doctor.control_groups import read_cpus, read_memory
from vllmd.shim.cgroup import oom_kills
cpus, memory = read_cpus(), read_memory()
group = open("/proc/self/cgroup").read().strip()
found = [cpus.available, cpus.limited, memory.available, memory.limited, oom_kills()]
print(json.dumps([group, *found]))
"""


def read_in(group: Path, limits: dict[str, str]) -> Any:
    """Return what vllmd reads in a group with these limits."""
    group.mkdir(exist_ok=True)
    for name, text in limits.items():
        (group / name).write_text(text)
    return json.loads(run([sys.executable, "-c", READ], group))


def within(group: Path, words: list[str]) -> list[str]:
    """Return a command that runs words in a group."""
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *words]


def run(words: list[str], group: Path) -> str:
    """Run a program in a group; return what it printed."""
    env = {**ENV, "PYTHONPATH": "/usr/lib/vllmd/site"}
    command = within(group, words)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr[-3000:]


def in_own_namespace() -> dict[str, Any]:
    """Run vllmd as PID 1 where its group is the top; its engine takes more than there is."""
    script = "umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup"
    script += "; mount -t proc proc /proc; exec vllmd run"
    words = [
        "unshare",
        "--cgroup",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        script,
    ]

    with open("/tmp/said", "wb") as said:
        process = subprocess.Popen(within(BOX, words), env=ENV, stdout=said, stderr=said)
    deadline = time.monotonic() + 600  # emulated, and beside others: a minute is a long way
    text = ""
    while time.monotonic() < deadline and "event=engine.exited" not in text:
        time.sleep(0.5)
        text = Path("/tmp/said").read_text(errors="replace")
    (first,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    enter_it = ["nsenter", "-t", first, "-a"]
    env = ENV
    status = subprocess.run(
        [*enter_it, "vllmd", "status", "--json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    doctor = subprocess.run(
        [*enter_it, "vllmd", "doctor", "--json", "--offline"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    events = (BOX / "memory.events").read_text().split()
    os.kill(int(first), signal.SIGTERM)
    process.wait(300)
    return {
        "exit": json.loads(status.stdout)["engines"][0]["last_exit"],
        "findings": {
            each["check"]: each["found"] for each in json.loads(doctor.stdout)["findings"]
        },
        "events": dict(zip(events[::2], map(int, events[1::2]), strict=True)),
        "code": process.returncode,
    }


if __name__ == "__main__":
    main()
