"""Divides the files of a tier among the workers of pytest-xdist before they are collected.

Collecting the unit tests takes one process ten CPU seconds, and xdist lets each worker collect all
of them. With `--dist each` a worker runs what it has collected itself, so a worker that collects
only its share does neither twice.
"""

import os
import zlib
from pathlib import Path

VARIABLE = "VLLMD_TESTS_SHARES"
"""Is set where each worker has a share; everywhere else a worker collects all."""


def share_of(name: str, shares: int) -> int:
    """Return which of so many shares a file is in; the same in every process."""
    return zlib.crc32(name.encode()) % shares


def is_left_to_others(path: Path, below: Path) -> bool:
    """Tell whether another worker has this file of tests."""
    if VARIABLE not in os.environ or "PYTEST_XDIST_WORKER" not in os.environ:
        return False
    if not path.match("test_*.py"):
        return False
    own = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    count = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    return share_of(str(path.relative_to(below)), count) != own
