"""What one input may take: CPU time and memory, held by the kernel in the process that reads it."""

import math
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

from vllmd.util.units import MIB

HARD_S = 10
"""Seconds of CPU time above the limit after which the kernel ends the process."""


class TookTooLongError(Exception):
    """An input took more CPU time than it may."""


def bound_memory(more_mb: int) -> None:
    """Let this process take so much address space above what it has; beyond, MemoryError."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    most = pages * resource.getpagesize() + more_mb * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextmanager
def bounded_cpu(most_s: float) -> Iterator[None]:
    """Allow so many seconds of CPU time.

    Raises: TookTooLongError. What does not come back at all ends the process, by SIGXCPU.
    """
    began = time.process_time()
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(began + most_s + HARD_S), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
    took = time.process_time() - began
    if took > most_s:
        raise TookTooLongError(f"{took:.1f} s of CPU time, more than {most_s:g}")
