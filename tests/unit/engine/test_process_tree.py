import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable

import pytest

from tests.helpers.site import wait_for
from vllmd.engine.process_tree import ALL_AGAIN, ALL_AGAIN_S, ProcessTree
from vllmd.shim import proc
from vllmd.shim.proc import Stat

PARENT = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print(flush=True); input()"


def stat(pid: int, ppid: int, state: str = "S") -> Stat:
    return Stat(pid=pid, name="x", state=state, ppid=ppid, session=1, start_ticks=pid)


class Kernel:
    """Processes that a test makes, and how often each was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *stats: Stat) -> None:
        self.there = {each.pid: each for each in stats}
        self.inodes: dict[int, int] = {}
        self.read: Counter[int] = Counter()
        self.refuses: Callable[[int], bool] = lambda _: False
        monkeypatch.setattr(
            "vllmd.engine.process_tree.listed",
            lambda: {each: self.inodes.get(each, each) for each in self.there},
        )
        monkeypatch.setattr(proc, "read_stat", self._read)

    def _read(self, pid: int) -> Stat | None:
        self.read[pid] += 1
        return None if self.refuses(pid) else self.there.get(pid)


def test_below_reads_others_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    others = [stat(2, 0), *(stat(pid, 2) for pid in range(100, 200))]
    kernel = Kernel(monkeypatch, stat(1, 0), stat(7, 1), stat(8, 7), stat(9, 8, "Z"), *others)
    tree = ProcessTree()
    for _ in range(ALL_AGAIN):
        assert [each.pid for each in tree.below(7)] == [8]
    assert (kernel.read[8], kernel.read[9], kernel.read[150]) == (ALL_AGAIN, ALL_AGAIN, 1)
    tree.below(7)
    assert kernel.read[150] == 2
    tree.below(8)
    assert kernel.read[150] == 3


def test_below_reads_again_at_the_next_look_what_could_not_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch, stat(1, 0), stat(7, 1), stat(8, 7), stat(9, 8), stat(100, 1))
    tree = ProcessTree()
    kernel.refuses = lambda _: True  # too many open files
    assert tree.below(7) == []
    kernel.refuses = lambda pid: pid == 8
    assert tree.below(7) == [], "who is below one that could not be read is not known"
    kernel.refuses = lambda _: False
    assert sorted(each.pid for each in tree.below(7)) == [8, 9]


def test_below_sees_a_child_that_was_read_before_its_parent_had_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch, stat(1, 0), stat(7, 1), stat(9, 8), stat(10, 9))
    tree = ProcessTree()
    assert tree.below(7) == [], "their parent is gone"
    kernel.there[9] = stat(9, 7)  # it has fallen to the shim
    assert sorted(each.pid for each in tree.below(7)) == [9, 10]


def test_below_sees_a_number_that_was_given_again_between_two_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch, stat(1, 0), stat(7, 1), stat(100, 1))
    tree = ProcessTree()
    assert tree.below(7) == []
    kernel.there[100], kernel.inodes[100] = stat(100, 7), 5
    assert [each.pid for each in tree.below(7)] == [100]


def test_below_reads_all_again_after_a_while_without_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(monkeypatch, stat(1, 0), stat(7, 1), stat(100, 1))
    now = 1000.0
    tree = ProcessTree(lambda: now)
    for now in (1000.0, 1000.0 + ALL_AGAIN_S):  # noqa: B007 - the clock reads it
        tree.below(7)
    assert kernel.read[100] == 1
    now += ALL_AGAIN_S + 1
    tree.below(7)
    assert kernel.read[100] == 2


def test_below_sees_what_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(monkeypatch, stat(1, 0), stat(7, 1), stat(8, 7), stat(100, 1))
    tree = ProcessTree()
    assert [each.pid for each in tree.below(7)] == [8]
    kernel.there |= {10: stat(10, 8), 11: stat(11, 10)}
    assert sorted(each.pid for each in tree.below(7)) == [8, 10, 11]
    del kernel.there[10]
    kernel.there[11] = stat(11, 7)  # it has fallen to the shim
    assert sorted(each.pid for each in tree.below(7)) == [8, 11]
    del kernel.there[100]
    tree.below(7)
    kernel.there[100] = stat(100, 11)  # a number that was given again
    assert sorted(each.pid for each in tree.below(7)) == [8, 11, 100]


def test_below_is_as_descendants_of_real_processes() -> None:
    tree = ProcessTree()
    tree.below(os.getpid())
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        for _ in range(3):
            found = {each.pid for each in tree.below(parent.pid)}
            assert found == {each.pid for each in proc.descendants(parent.pid)} != set()
        for pid in found:
            os.kill(pid, 9)
        wait_for("its child", lambda: not tree.below(parent.pid))
        parent.kill()
