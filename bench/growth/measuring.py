"""CPU time and memory of processes, over stretches in which a daemon is scraped each second."""

import os
import statistics
import subprocess
import time
from collections.abc import Sequence

import httpx

from tests.chaos.growth import pss_mb

WINDOWS, WINDOW_S, SETTLE_S = 3, 10, 4.0


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, of threads that have ended too: clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def minute_of(pids: Sequence[int], page: str) -> tuple[float, float]:
    """Return CPU seconds a minute with a scrape a second, the median of windows, and MB."""
    with httpx.Client(trust_env=False, timeout=60) as client:

        def window() -> float:
            before = sum(map(cpu_s, pids))
            began = time.monotonic()
            for number in range(1, WINDOW_S + 1):
                client.get(page).raise_for_status()
                time.sleep(max(0.0, began + number - time.monotonic()))
            spent = sum(map(cpu_s, pids)) - before
            return spent * 60 / (time.monotonic() - began)

        time.sleep(SETTLE_S)
        found = statistics.median(window() for _ in range(WINDOWS))
    return found, sum(map(pss_mb, pids))


def of_calls(words: Sequence[str], times: int = 3) -> tuple[float, float]:
    """Return the median CPU seconds of a command, and the most memory that it had, in MB."""

    def once() -> tuple[float, float]:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, words)
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

    found = [once() for _ in range(times)]
    return statistics.median(cpu for cpu, _ in found), max(mb for _, mb in found)
