"""Do the processes of one data parallel rank do anything between two looks? Pure.

GPUs that are idle say little alone: a kernel may be compiled meanwhile, for minutes, or an adapter
be read from a slow disk.
"""

from collections.abc import Collection, Iterator, Mapping

from vllmd.engine.liveness.hang_signs import is_still
from vllmd.engine.liveness.reading import ProcessActivity


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
