import contextlib
import errno
import functools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import psutil
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.site import wait_for
from vllmd.engine import usage
from vllmd.engine.liveness.reading import ProcessActivity
from vllmd.engine.process_tree import listed
from vllmd.engine.usage import MAX_AGE_S, TreeActivity, TreeReader, TreeUsage
from vllmd.shim import proc

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
    tree_usage = TreeUsage(clock)
    child = busy_child()
    first = tree_usage.read("run", os.getpid())
    assert first is not None
    assert first.processes >= 1
    assert first.cpu_s > 0.05
    assert first.resident_bytes > 4 * 1024 * 1024
    child.kill()
    child.wait()
    await clock.advance(MAX_AGE_S)
    assert tree_usage.read("run", os.getpid()) is first
    await clock.advance(MAX_AGE_S)
    later = tree_usage.read("run", os.getpid())
    assert later is not None
    assert later.processes == first.processes - 1
    assert later.cpu_s >= first.cpu_s


def test_read_another_run_starts_from_nothing() -> None:
    tree_usage = TreeUsage(FakeClock())
    child = busy_child()
    tree_usage.read("run", os.getpid())
    child.kill()
    child.wait()
    other = tree_usage.read("run-2", os.getpid())
    assert other is not None
    assert other.cpu_s < 0.05


def test_read_shim_that_is_gone_is_none() -> None:
    assert TreeUsage(FakeClock()).read("run", 2**22 + 1) is None


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


def test_activity_read_counts_what_the_processes_use(tree: tuple[int, int]) -> None:
    shim, child = tree
    reader = TreeActivity()
    first = reader.read(shim, child)
    assert first is not None

    def more() -> ProcessActivity | None:
        read = reader.read(shim, child)
        assert read is not None
        return read if read.api_cpu_s > first.api_cpu_s else None

    second = wait_for("CPU time", more)
    assert second.core_cpu_s == second.api_cpu_s  # it computes in its only process
    assert second.io_bytes >= first.io_bytes > 0
    as_core = TreeActivity().read(shim, shim)
    assert as_core is not None
    assert as_core.api_cpu_s == 0
    assert as_core.core_cpu_s > 0


def test_activity_read_tree_that_is_gone_is_not_known() -> None:
    assert TreeActivity().read(4_190_000, 4_190_001) is None


GONE = 9
"""The pid of a process that ends while it is looked at."""


class Used:
    """A process that has used ten seconds of CPU for each of its pid, and moved some bytes."""

    def __init__(self, pid: int) -> None:
        if pid == GONE:
            raise psutil.NoSuchProcess(pid)
        self._pid = pid

    def oneshot(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def cpu_times(self) -> SimpleNamespace:
        used = {"user": 9.0 * self._pid, "system": 1.0 * self._pid}
        return SimpleNamespace(**used, children_user=2.0, children_system=1.0)

    def io_counters(self) -> SimpleNamespace:
        return SimpleNamespace(read_chars=1, write_chars=20, read_bytes=300)


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pids below the shim."""
    pids: list[int] = []
    tree = SimpleNamespace(
        below=lambda *_: [proc.Stat(pid, "x", "T", 1, 1, 7) for pid in pids],
    )
    monkeypatch.setattr(proc, "read_stat", lambda _: object())
    monkeypatch.setattr(usage, "ProcessTree", lambda: tree)
    monkeypatch.setattr(psutil, "Process", Used)
    return pids


def activity_of(reader: TreeActivity, shim_pid: int) -> tuple[float, float, int]:
    """What the engine's main process and the others used, for an engine with the pid 1."""
    found = reader.read(shim_pid, 1)
    assert found is not None
    return found.api_cpu_s, found.core_cpu_s, found.io_bytes


def test_activity_read_adds_up_all_that_was_moved(living: list[int]) -> None:
    """Weights that are mapped are read by the kernel only: `read_bytes` has them."""
    living[:] = [1, GONE, 2]
    assert activity_of(TreeActivity(), 100) == (10.0, 20.0, 2 * 321)


def test_activity_read_process_that_ended_stays_counted_until_another_run(
    living: list[int],
) -> None:
    reader = TreeActivity()
    living[:] = [1, 2, 3]
    assert activity_of(reader, 100) == (10.0, 50.0, 3 * 321)
    living[:] = [1, 2]
    assert activity_of(reader, 100) == (10.0, 50.0, 3 * 321)
    assert activity_of(reader, 101) == (10.0, 20.0, 2 * 321)


def test_activity_read_process_that_may_not_be_looked_at_hides_it(
    living: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: Used) -> None:
        raise psutil.AccessDenied(process._pid)

    living[:] = [1]
    monkeypatch.setattr(Used, "io_counters", refuse)
    assert TreeActivity().read(100, 1) is None


def test_activity_read_without_a_descriptor_left_is_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ended the part that follows the engine, which was not watched for some seconds."""

    def refuse(_: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr("vllmd.engine.process_tree.os.scandir", refuse)
        found = TreeActivity().read(os.getpid(), 1)
    assert found is None


def test_read_of_several_trees_may_share_one_listing_of_the_host() -> None:
    looks = 0

    def listing() -> Mapping[int, int]:
        nonlocal looks
        looks += 1
        return listed()

    shared = functools.cache(listing)
    child = busy_child()
    both = [TreeUsage(FakeClock()).read("run", os.getpid(), shared) for _ in range(2)]
    child.kill()
    child.wait()
    assert looks == 1
    assert [each.processes for each in both if each] == [both[0].processes] * 2  # type: ignore[union-attr]


def test_read_is_what_psutil_says_of_each_process() -> None:
    child = busy_child()
    usage = TreeUsage(FakeClock()).read("run", os.getpid())
    assert usage is not None
    zombie = psutil.STATUS_ZOMBIE  # those of other tests, that nobody has waited for
    each = [p for p in psutil.Process().children(recursive=True) if p.status() != zombie]
    assert usage.processes == len(each)
    cpu_s = sum(p.cpu_times().user + p.cpu_times().system for p in each)
    assert usage.cpu_s == pytest.approx(cpu_s, abs=0.2)
    resident = sum(p.memory_info().rss for p in each)
    assert usage.resident_bytes == pytest.approx(resident, rel=0.05)
    child.kill()
    child.wait()


def test_processes_that_end_by_the_thousand_leave_their_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, most = 50, usage.MOST_ENDED
    reader = TreeReader(lambda _: usage.Used(0.5, io_bytes=2, children_cpu_s=0.25))
    there: list[proc.Stat] = []
    monkeypatch.setattr(reader._processes, "below", lambda *_: there)
    engine = proc.Stat(1, "engine", "S", 0, 1, 1)
    for look in range(looks):
        first = 2 + 100 * look
        there[:] = [engine, *(proc.Stat(n, "sh", "S", 1, 1, 7) for n in range(first, first + 100))]
        reader.read("run", 1)
    assert len(reader.used) < most + 300
    count = 1 + 100 * looks
    assert sum(each.cpu_s for each in reader.used.values()) == 0.5 * count
    assert sum(each.io_bytes for each in reader.used.values()) == 2 * count
    assert sum(each.children_cpu_s for each in reader.used.values()) == 0.25 * count
