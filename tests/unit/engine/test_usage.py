import os
import subprocess
import sys

from tests.helpers.clock import FakeClock
from vllmd.engine.usage import MAX_AGE_S, TreeUsage

BUSY = "sum(range(10**7)); print(1, flush=True); input()"


def busy_child() -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


async def test_read_counts_the_tree_and_keeps_the_time_of_the_dead() -> None:
    clock = FakeClock()
    usage = TreeUsage(clock)
    child = busy_child()
    first = usage.read("run", os.getpid())
    assert first is not None
    assert first.processes >= 1
    assert first.cpu_s > 0.05
    assert first.resident_bytes > 4 * 1024 * 1024
    child.kill()
    child.wait()
    assert usage.read("run", os.getpid()) is first
    await clock.advance(2 * MAX_AGE_S)
    later = usage.read("run", os.getpid())
    assert later is not None
    assert later.processes == first.processes - 1
    assert later.cpu_s >= first.cpu_s


def test_read_another_run_starts_from_nothing() -> None:
    usage = TreeUsage(FakeClock())
    child = busy_child()
    usage.read("run", os.getpid())
    child.kill()
    child.wait()
    other = usage.read("run-2", os.getpid())
    assert other is not None
    assert other.cpu_s < 0.05


def test_read_shim_that_is_gone_is_none() -> None:
    assert TreeUsage(FakeClock()).read("run", 2**22 + 1) is None
