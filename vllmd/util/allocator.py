"""Memory of large blocks given back to the system as soon as it is free.

glibc learns from the first large block that is freed to keep such blocks in its heap, where what
is allocated after them holds them: the process stays as large as it ever was.
Source: mallopt(3), M_MMAP_THRESHOLD, "dynamic mmap threshold".
"""

import ctypes

from vllmd.util.units import KIB

LARGE_BYTES = 256 * KIB
_M_MMAP_THRESHOLD = -3


def give_back_large_blocks() -> bool:
    """Have blocks from `LARGE_BYTES` on mapped, each by itself; tells whether the C library can."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
    except (OSError, AttributeError):  # it is not glibc
        return False
