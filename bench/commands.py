"""What `vllmd status` and `vllmd why` cost, beside an empty Python, in CPU time of their process.

A daemon's socket answers of two engines, one of which has failed. In turns, five rounds of five;
prints medians. Usage: python bench/commands.py
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.control import FakeEngine, FakeHost, control_socket
from vllmd.eventlog.bus import Event

ROUNDS = 25


def cpu_ms(command: list[str]) -> float:
    """Return the CPU milliseconds of a process and its children."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, command
    return (used.ru_utime + used.ru_stime) * 1000


def main() -> None:
    """Measure and print."""
    program = str(Path(sys.executable).with_name("vllmd"))
    host = FakeHost()
    host.found = [Event(1.5, "engine.exited", "error", "chat", {"pid": 7}, 3)]
    with tempfile.TemporaryDirectory() as folder:
        engines = FakeEngine(), FakeEngine("code")
        with control_socket(Path(folder) / "c.sock", *engines, host=host) as path:
            at = ["--socket", str(path)]
            commands = {
                "python -c pass": [sys.executable, "-c", "pass"],
                "vllmd --version": [program, "--version"],
                "vllmd status": [program, "status", *at],
                "vllmd why": [program, "why", *at],
            }
            rounds = [{n: cpu_ms(c) for n, c in commands.items()} for _ in range(ROUNDS)]
    print(f"{'':18}{'ratio':>7}{'CPU ms':>8}")
    for name in commands:
        ratio = statistics.median(each[name] / each["python -c pass"] for each in rounds)
        print(f"{name:18}{ratio:7.2f}{statistics.median(each[name] for each in rounds):8.1f}")


if __name__ == "__main__":
    main()
