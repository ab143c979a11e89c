"""Do the processes of one data parallel rank do anything between two looks? Pure.

GPUs that are idle say little alone: a kernel may be compiled meanwhile, for minutes, or an adapter
be read from a slow disk.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping

from vllmd.engine.liveness.hang_signs import is_still
from vllmd.engine.liveness.reading import ProcessActivity

LOOK_S, OLD_S = 4.0, 30.0
"""Processes are looked at so often at most, whoever asks: that takes milliseconds. An older look
says nothing of what they do lately."""


class RankLooks:
    """The last two looks at an engine's processes, for those that ask at any time."""

    def __init__(
        self, now: Callable[[], float], activity: Callable[[], ProcessActivity | None]
    ) -> None:
        """Know nothing yet; `now` is monotonic, in seconds."""
        self._now, self._activity = now, activity
        self._at = -math.inf
        self._before: ProcessActivity | None = None
        self._used: ProcessActivity | None = None

    def is_still(self, rank: int, pids: Mapping[int, Collection[int]]) -> bool:
        """Tell whether a rank's processes did nothing lately; `pids` as for `is_rank_still`."""
        if (age_s := (now := self._now()) - self._at) >= LOOK_S:
            self._before = self._used if age_s < OLD_S else None
            self._at, self._used = now, self._activity()
        return is_rank_still(rank, pids, self._before, self._used)


def is_rank_still(
    rank: int,
    pids: Mapping[int, Collection[int]],
    before: ProcessActivity | None,
    now: ProcessActivity | None,
) -> bool:
    """Tell whether a rank's processes are known to have done nothing between two looks.

    `pids` are those of each rank that hold GPU memory, as far as known. Theirs are those below
    them, and those above them that are above no other rank's. Of a rank of which none is known all
    processes of the engine count, but its API server.
    """
    if before is None or now is None or not now.processes:
        return False
    parents = {each.pid: each.ppid for each in now.processes}
    own = parents.keys() & set(pids.get(rank, ()))
    others = {pid for each, found in pids.items() if each != rank for pid in found}
    shared = {above for pid in others for above in _above(pid, parents)}
    mine = own | {above for pid in own for above in _above(pid, parents)} - shared
    mine |= {pid for pid in parents if not own.isdisjoint(_above(pid, parents))}
    return all(is_still(p, before, now) for p in now.processes if not own or p.pid in mine)


def _above(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Yield the known processes above one; a number that comes twice ends it."""
    seen = {pid}
    while (pid := parents.get(pid, 0)) in parents and pid not in seen:
        seen.add(pid)
        yield pid
