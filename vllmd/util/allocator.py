"""Memory: large blocks given back as soon as they are free, and what stays is not looked at again.

glibc learns from the first large block that is freed to keep such blocks in its heap, where what
is allocated after them holds them: the process stays as large as it ever was. And it gives threads
heaps of their own, up to eight for each processor: what one has freed no other uses, so that each
keeps its own leftovers of what threads do now and then (seen: twelve after a few minutes).
Source: mallopt(3), M_MMAP_THRESHOLD, "dynamic mmap threshold"; M_ARENA_MAX.
"""

import ctypes
import gc

from vllmd.util.units import KIB

LARGE_BYTES = 256 * KIB
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def give_back_large_blocks() -> bool:
    """Have blocks from `LARGE_BYTES` on mapped, each by itself; tells whether the C library can."""
    return _set(_M_MMAP_THRESHOLD, LARGE_BYTES)


def share_one_heap() -> bool:
    """Have all threads that begin from now on use one heap; tells whether the C library can."""
    return _set(_M_ARENA_MAX, 1)


def keep_memory_small() -> None:
    """Do both; to be called before there are threads."""
    give_back_large_blocks()
    share_one_heap()


def _set(parameter: int, value: int) -> bool:
    try:
        return bool(ctypes.CDLL(None).mallopt(parameter, value))
    except (OSError, AttributeError):  # it is not glibc
        return False


def stop_collecting_what_is_there() -> None:
    """Have the garbage collector pass over all that lives now: code and what is made at a start.

    Looking through it took a tenth of a scrape. What of it is let go is still freed by its count
    of references, and only rings of it are not.
    """
    gc.collect()
    gc.freeze()
