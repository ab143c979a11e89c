"""What `vllmd top` costs: CPU of it and of the daemon, and bytes for the terminal, a second.

It runs in a terminal of its own, beside a daemon that is there. Prints one table, a line for each
page and size.

Usage: python bench/top.py SOCKET [SECONDS]
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from vllmd.control.client import ControlClient

START_S = 5.0
SCENES = (("engines", 80, 24, b""), ("engines", 160, 48, b""), ("an engine", 160, 48, b"\r"))


def read_for(seconds: float, terminal: int) -> int:
    """Take what is written to a terminal; returns how many bytes that was."""
    taken, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            taken += len(os.read(terminal, 65536))
    return taken


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(socket: str, columns: int, rows: int, keys: bytes, seconds: float) -> list[float]:
    """Return the shares of a core of it and of the daemon, and bytes a second."""
    daemon = psutil.Process(ControlClient(Path(socket)).status()["daemon"]["pid"])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    shown = subprocess.Popen(
        [sys.executable, "-m", "vllmd", "top", "--socket", socket],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**env, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    try:
        read_for(START_S, ours)
        os.write(ours, keys)
        read_for(2.0, ours)
        top = psutil.Process(shown.pid)
        before = cpu_s(top), cpu_s(daemon)
        written = read_for(seconds, ours)
        used = cpu_s(top) - before[0], cpu_s(daemon) - before[1]
    finally:
        shown.send_signal(signal.SIGKILL)
        shown.wait()
        os.close(ours)
        os.close(theirs)
    return [used[0] / seconds, used[1] / seconds, written / seconds]


def main() -> None:
    """Measure and print."""
    socket = sys.argv[1]
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    daemon = psutil.Process(ControlClient(Path(socket)).status()["daemon"]["pid"])
    before = cpu_s(daemon)
    time.sleep(seconds)
    print(f"the daemon alone {(cpu_s(daemon) - before) / seconds:.2%} of a core")
    print(f"{'page':<12}{'size':>9}{'top':>9}{'daemon':>9}{'bytes/s':>9}")
    for name, columns, rows, keys in SCENES:
        top, asked, written = measure(socket, columns, rows, keys, seconds)
        print(f"{name:<12}{columns:>5}x{rows}{top:>9.2%}{asked:>9.2%}{written:>9.0f}")


if __name__ == "__main__":
    main()
