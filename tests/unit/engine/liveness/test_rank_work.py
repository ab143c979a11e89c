"""Which of an engine's processes are those of a data parallel rank, and whether they are still."""

import pytest

from tests.helpers.clock import FakeClock
from vllmd.engine.liveness.rank_work import RankLooks, is_rank_still
from vllmd.engine.liveness.reading import ProcessActivity, ProcessUse

TREE = {10: 1, 11: 10, 12: 11, 13: 12, 20: 10, 21: 20, 30: 10}
"""Below a wrapper (10) the core (11), the worker (12) and a compiler (13) of rank 0; those of rank
1 (20, 21), and the coordinator (30)."""
PIDS = {0: {12}, 1: {21}}


def used(at: float, pid: int = 0, state: str = "S") -> ProcessActivity:
    """What they have used; `pid` has worked since."""
    processes = tuple(
        ProcessUse(each, ppid, at if each == pid else 0.0, 0, state if each == pid else "S")
        for each, ppid in TREE.items()
    )
    return ProcessActivity(0.0, 0.0, 0, at=at, processes=processes)


@pytest.mark.parametrize(
    ("pid", "still"), [(0, True), (10, True), (11, False), (12, False), (13, False), (20, True)]
)
def test_what_another_rank_does_and_what_is_above_both_is_not_of_a_rank(
    pid: int, still: bool
) -> None:
    assert is_rank_still(0, PIDS, used(0.0), used(5.0, pid)) is still


@pytest.mark.parametrize("pid", [10, 12, 21, 30])
@pytest.mark.parametrize("pids", [{}, {1: {21}}, {0: {99}}])
def test_of_a_rank_whose_processes_are_not_known_all_count(
    pids: dict[int, set[int]], pid: int
) -> None:
    assert is_rank_still(0, pids, used(0.0), used(5.0))
    assert not is_rank_still(0, pids, used(0.0), used(5.0, pid))


def test_nothing_is_known_without_two_looks_and_their_processes() -> None:
    bare = ProcessActivity(0.0, 0.0, 0, at=5.0)
    assert not is_rank_still(0, PIDS, None, used(5.0))
    assert not is_rank_still(0, PIDS, used(0.0), None)
    assert not is_rank_still(0, PIDS, bare, bare)


def test_a_wait_for_a_disk_is_work() -> None:
    assert not is_rank_still(0, PIDS, used(0.0), used(0.0, 12, "D"))


def test_look_of_long_ago_says_nothing_of_what_is_done_lately() -> None:
    clock = FakeClock()
    looks = RankLooks(clock.monotonic, lambda: used(clock.now))
    found = []
    for pause_s in (0.0, 5.0, 1.0, 600.0, 5.0):
        clock.now += pause_s
        found.append(looks.is_still(0, {}))
    assert found == [False, True, True, False, True]
