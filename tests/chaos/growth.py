"""What a daemon has, sampled: memory, descriptors, threads, series, and its files."""

import glob
import os
import signal
import time
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.host_of_soak import SoakHost

FAST = (
    (signal.SIGKILL, "api"),
    (signal.SIGKILL, "core"),
    (signal.SIGKILL, "shim"),
    (signal.SIGSEGV, "core"),
    (signal.SIGTERM, "api"),
    (signal.SIGSTOP, "api"),
    (signal.SIGSTOP, "core"),
)
"""Signals and to what: what is done to an engine."""


class Growth:
    """Samples of one host's daemon."""

    def __init__(self, host: "SoakHost") -> None:
        self._host = host
        self.samples: list[dict[str, Any]] = []

    def sample(self, *, late: bool) -> None:
        """Take one; nothing if the daemon is not there."""
        pid, state = self._host.site.daemon.pid, self._host.site.folder / "state"
        try:
            found = {
                "at": time.monotonic(),
                "late": late,
                "pss_mb": pss_mb(pid),
                "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
                "threads": len(os.listdir(f"/proc/{pid}/task")),
            }
        except (OSError, ValueError):
            return
        series = "max_over_time(scrape_samples_scraped[30s])"  # a scrape that failed has none
        found["series"] = self._host.prometheus.value(series) or 0
        found["database_kb"] = _size(state, "vllmd.db*") / 1024
        found["incidents"] = len(list((state / "incidents").glob("*")))
        found["incidents_kb"] = _size(state / "incidents", "**/*") / 1024
        self.samples.append(found)


def pss_mb(pid: int) -> float:
    """Return a process's memory, with a share of what it has in common with others.

    Raises: OSError, ValueError: it has ended.
    """
    words = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
    return int(words[words.index("Pss:") + 1]) / 1024


def _size(folder: Path, pattern: str) -> int:
    total = 0
    # not Path.glob: that fails where a folder is removed meanwhile, as the oldest incidents are
    for path in glob.iglob(str(folder / pattern), recursive=True):
        try:
            total += os.stat(path).st_size
        except OSError:
            continue
    return total


def slope(samples: list[dict[str, Any]], key: str) -> float:
    """Return by how much something grows in a minute."""
    if len(samples) < 3:
        return float("nan")
    at = [each["at"] / 60 for each in samples]
    return linear_regression(at, [each[key] for each in samples]).slope
