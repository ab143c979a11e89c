"""What it costs to capture an engine's output, beside what one would use instead.

One gigabyte of vLLM's lines through the shim, svlogd, rotatelogs, supervisord, and `cat > file` as
the limit; then 10,000 lines a second for ten seconds. Prints tables; every figure is of this run.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import vllmd.shim.__main__ as shim_program
from vllmd.logs.level_counts import LevelCounts
from vllmd.logs.reader import LogReader, Position
from vllmd.shim import protocol
from vllmd.util.units import MIB

LINE = (
    b"(APIServer pid=30575) INFO 11-23 18:48:58 [loggers.py:259] Engine 000: Avg prompt "
    b"throughput: 120.3 tokens/s, Avg generation throughput: 80.1 tokens/s, Running: 3 reqs, "
    b"Waiting: 0 reqs, GPU KV cache usage: 1.2%\n"
)
SOURCE_BYTES = 256 * MIB
TIMES = 4
RATE = 10_000
SECRETS = ["one-secret-0123456789", "another-0123456789", "third-0123456789"]
STEADY = f"""
import os, time
line, slowest, began = {LINE!r}, 0.0, time.monotonic()
for n in range({10 * RATE}):
    at = time.monotonic()
    os.write(1, line)
    slowest = max(slowest, time.monotonic() - at)
    if n % 10 == 9:
        time.sleep(max(0, began + n / {RATE} - time.monotonic()))
open("{{0}}", "w").write(str(slowest))
"""
FLOOD = """
import os, time
slowest = 0.0
for _ in range({times}):
    with open("{source}", "rb") as file:
        while block := file.read(65536):
            at = time.monotonic()
            while block:
                block = block[os.write(1, block):]
            slowest = max(slowest, time.monotonic() - at)
open("{{0}}", "w").write(str(slowest))
"""
SUPERVISORD = """
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[program:engine]
command={python} {program}
autorestart=false
startsecs=0
redirect_stderr=true
stdout_logfile={folder}/engine.log
stdout_logfile_maxbytes=100MB
stdout_logfile_backups=14
"""


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of one process, its children left out."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def minutes(text: str) -> float:
    """Read a time as bash's `times` prints it: 0m1.250s."""
    whole, _, rest = text.rstrip("s").partition("m")
    return int(whole) * 60 + float(rest)


class Run:
    """One program that captures: wall seconds, its own CPU seconds, the writer's longest wait."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.program = folder / "printing.py"
        self.slowest = folder / "slowest"
        self.program.write_text(program.replace("{0}", str(self.slowest)))
        self.began, self.cpu_s = time.monotonic(), 0.0
        self.peak_mib: float | None = None

    def piped(self, command: str) -> None:
        used = self.folder / "times"
        piped = f"{sys.executable} {self.program} | ( {command}; times > {used} )"
        subprocess.run(["bash", "-c", piped], check=True)
        self.cpu_s = sum(map(minutes, used.read_text().splitlines()[1].split()))
        self.done()

    def shim(self) -> dict[str, int]:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", str(shim_program.__file__)]
        with theirs:
            process = subprocess.Popen(command, stdin=theirs.fileno())
        spec: protocol.Spec = {
            "protocol": protocol.PROTOCOL,
            "engine": "bench",
            "run_id": "bench",
            "argv": [sys.executable, str(self.program)],
            "env": {},
            "cwd": "/",
            "directory": str(self.folder),
            "log": str(self.folder / "a.log"),
            "command_hash": "",
            "stop_grace_s": 1,
            "tail_bytes": 65536,
            "secrets": SECRETS,
        }
        ours.sendall(protocol.encode(spec))
        while process.poll() is None:
            self.peak_mib = max(self.peak_mib or 0, peak_mib(process.pid))
            self.cpu_s = max(self.cpu_s, cpu_s(process.pid))
            time.sleep(0.02)
        self.done()
        record: dict[str, int] = json.loads((self.folder / "exit.json").read_text())
        return record

    def supervisord(self) -> None:
        config = self.folder / "supervisord.conf"
        places = {"folder": self.folder, "python": sys.executable, "program": self.program}
        config.write_text(SUPERVISORD.format(**places))
        command = [str(Path(sys.executable).with_name("supervisord")), "-c", str(config)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not self.slowest.exists():
            time.sleep(0.05)
        self.cpu_s = cpu_s(process.pid)
        process.terminate()
        process.wait()
        self.done()

    def done(self) -> None:
        self.wall_s = time.monotonic() - self.began
        self.wait_ms = float(self.slowest.read_text() or 0) * 1000


def peak_mib(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return 0.0


def watchers_cpu_s(log: str) -> tuple[int, float]:
    """Return lines and CPU seconds of what the daemon does with a log: read it, count levels."""
    began, counts = time.process_time(), LevelCounts()
    reader = LogReader(log, Position(1, 0))
    while block := reader.read():
        counts.add(block)
    return sum(counts.lines.values()), time.process_time() - began


def compare(title: str, program: str, gigabytes: float) -> None:
    print(f"\n{title}\n{'':14}{'MB/s':>8}{'CPU s/GB':>10}{'longest wait ms':>17}{'peak MiB':>10}")
    for name in ("cat", "shim", "svlogd", "rotatelogs", "supervisord"):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
            folder = Path(made)
            run = Run(folder, program)
            note = ""
            if name == "shim":
                record = run.shim()
                lines, watchers = watchers_cpu_s(str(folder / "a.log"))
                run.cpu_s += watchers
                note = f"  of it {watchers:.2f} s the daemon's watchers, {lines} lines; "
                note += f"dropped: {record['log_dropped_lines']}"
            elif name == "supervisord":
                run.supervisord()
            elif name == "svlogd":
                (folder / "log").mkdir()
                (folder / "log" / "config").write_text("s104857600\nn14\n")
                run.piped(f"svlogd {folder}/log")
            else:
                run.piped(f"rotatelogs {folder}/a 100M" if name != "cat" else f"cat > {folder}/a")
            cpu = run.cpu_s / gigabytes
            peak = f"{run.peak_mib:10.1f}" if run.peak_mib else f"{'':10}"
            speed = gigabytes * 1000 / run.wall_s
            print(f"{name:14}{speed:8.0f}{cpu:10.2f}{run.wait_ms:17.1f}{peak}{note}", flush=True)


def main() -> None:
    source = "/var/tmp/vllmd-bench-source"
    with open(source, "wb") as file:
        for _ in range(SOURCE_BYTES // MIB):
            file.write(LINE * (MIB // len(LINE)))
    flood = FLOOD.format(times=TIMES, source=source)
    gigabytes = TIMES * os.path.getsize(source) / 1e9
    try:
        compare("a gigabyte at once", flood, gigabytes)
        steady = 10 * RATE * len(LINE) / 1e9
        title = f"{RATE} lines a second for 10 s (1 CPU s/GB is {steady * 10:.2f} % of a core)"
        compare(title, STEADY, steady)
    finally:
        os.unlink(source)


if __name__ == "__main__":
    main()
