import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from vllmd.engine.liveness.activity import TreeActivity
from vllmd.shim import proc

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def tree() -> Iterator[tuple[int, int]]:
    """A parent whose child computes; returns the pids of a stand-in for a shim and its engine."""
    shim = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, start_new_session=True
    )
    assert shim.stdout is not None
    child = int(shim.stdout.readline())
    try:
        yield shim.pid, child
    finally:
        for stat in [*proc.descendants(shim.pid), *proc.session_members(shim.pid)]:
            subprocess.run(["kill", "-9", str(stat.pid)], check=False)
        shim.wait()
        shim.stdout.close()


def test_read_counts_what_the_processes_use(tree: tuple[int, int]) -> None:
    shim, child = tree
    reader = TreeActivity()
    first = reader.read(shim, child)
    time.sleep(0.3)
    second = reader.read(shim, child)
    assert first is not None
    assert second is not None
    assert second.api_cpu_s > first.api_cpu_s
    assert second.core_cpu_s == second.api_cpu_s  # it computes in its only process
    assert second.io_bytes >= first.io_bytes > 0
    as_core = TreeActivity().read(shim, shim)
    assert as_core is not None
    assert as_core.api_cpu_s == 0
    assert as_core.core_cpu_s > 0


def test_read_tree_that_is_gone_is_not_known() -> None:
    assert TreeActivity().read(4_190_000, 4_190_001) is None
