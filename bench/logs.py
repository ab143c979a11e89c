"""What it costs to capture an engine's output, beside what one would use instead.

Half a gigabyte of vLLM's lines through the shim, rotatelogs, supervisord, and `cat > file` as the
limit, in turns, five times; then 10,000 lines a second for ten seconds. What the daemon does with
the log is a part of the shim's row: it counts lines by level and keeps what says why a run ended.
Prints tables of medians; every figure is of this run.
"""

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import vllmd.shim.__main__ as shim_program
from vllmd.engine.output.engine_output import EngineOutput
from vllmd.engine.output.first_errors import ALL_MARKS, FirstErrors
from vllmd.shim import protocol
from vllmd.util.units import MIB

PREFIX = b"(APIServer pid=30575) INFO"
ACCESS = PREFIX + b':     10.12.0.%d:%d - "POST /v1/%s HTTP/1.1" 200 OK\n'
STATS = (
    PREFIX + b" 11-23 18:48:58 [loggers.py:259] Engine 000: Avg prompt throughput: %d.3 tokens/s, "
    b"Avg generation throughput: %d.1 tokens/s, Running: %d reqs, Waiting: 0 reqs, "
    b"GPU KV cache usage: 1.2%%\n"
)


def lines_of_vllm(size: int) -> bytes:
    """Return about so many bytes of what vLLM prints under load: requests of a few clients, one
    line of figures for a thousand, seldom a warning."""
    drawn, lines, total = random.Random(1), [], 0
    while total < size:
        port, kind = drawn.randrange(32768, 60999), drawn.randrange(5000)
        line = ACCESS % (drawn.randrange(1, 9), port, drawn.choice((b"completions", b"responses")))
        if kind < 5:
            line = STATS % (port, port // 7, kind + 3)
        elif kind == 5:
            line = b"(EngineCore pid=30601) WARNING 11-23 18:48:58 [a.py:7] slow: %d ms\n" % port
        lines.append(line)
        total += len(line)
    return b"".join(lines)


LINE = ACCESS % (1, 43210, b"completions")
SOURCE_BYTES = 256 * MIB
TIMES = 2
ROUNDS = 5
PROGRAMS = ("rotatelogs", "shim", "supervisord", "cat")
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
            "marks": list(ALL_MARKS),
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


def daemon_of(folder: Path) -> EngineOutput:
    """Return what follows the log in the daemon."""
    log, run, memory = folder / "a.log", folder / "run", folder / "a.log.json"
    return EngineOutput("a", log, run, memory, protocol.ROTATION, FirstErrors())


def followed(output: EngineOutput) -> tuple[int, float]:
    """Return lines, and CPU seconds that the daemon takes for them."""
    began, lines = time.process_time(), -1
    while (known := sum(output.figures().lines.values())) != lines:
        lines = known
        output.look()
    return lines, time.process_time() - began


def measure(name: str, program: str) -> tuple[Run, float, str]:
    """Have one program capture; returns how that went, the daemon's part, and what to add."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as made:
        folder = Path(made)
        run = Run(folder, program)
        if name == "supervisord":
            run.supervisord()
        elif name != "shim":
            run.piped(f"rotatelogs {folder}/a 100M" if name != "cat" else f"cat > {folder}/a")
        else:
            output = daemon_of(folder)
            record = run.shim()
            lines, daemon_s = followed(output)
            run.cpu_s += daemon_s
            return run, daemon_s, f"{lines} lines, dropped: {record['log_dropped_lines']}"
        return run, 0.0, ""


def compare(title: str, program: str, gigabytes: float, rounds: int) -> None:
    print(f"\n{title}")
    print(f"{'':14}{'ratio':>7}{'CPU s/GB':>10}{'daemon':>8}{'MB/s':>7}{'wait ms':>9}{'MiB':>7}")
    all_rounds = [{n: measure(n, program) for n in PROGRAMS} for _ in range(rounds)]
    for name in PROGRAMS:
        runs = [each[name] for each in all_rounds]
        ratio = statistics.median(
            each[name][0].cpu_s / each["rotatelogs"][0].cpu_s for each in all_rounds
        )
        cpu = statistics.median(run.cpu_s for run, _, _ in runs) / gigabytes
        daemon = statistics.median(daemon_s for _, daemon_s, _ in runs) / gigabytes
        speed = gigabytes * 1000 / statistics.median(run.wall_s for run, _, _ in runs)
        wait = max(run.wait_ms for run, _, _ in runs)
        peak = max(run.peak_mib or 0 for run, _, _ in runs)
        print(
            f"{name:14}{ratio:7.2f}{cpu:10.2f}{daemon:8.2f}{speed:7.0f}{wait:9.1f}{peak:7.1f}"
            f"  {runs[-1][2]}",
            flush=True,
        )


def main() -> None:
    source = "/var/tmp/vllmd-bench-source"
    with open(source, "wb") as file:
        block = lines_of_vllm(16 * MIB)
        for _ in range(SOURCE_BYTES // (16 * MIB)):
            file.write(block)
    flood = FLOOD.format(times=TIMES, source=source)
    gigabytes = TIMES * os.path.getsize(source) / 1e9
    try:
        compare("half a gigabyte at once; CPU s of rotatelogs are 1", flood, gigabytes, ROUNDS)
        steady = 10 * RATE * len(LINE) / 1e9
        title = f"{RATE} lines a second for 10 s (1 CPU s/GB is {steady * 10:.2f} % of a core)"
        compare(title, STEADY, steady, 1)
    finally:
        os.unlink(source)


if __name__ == "__main__":
    main()
