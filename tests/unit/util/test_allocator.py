import gc
import subprocess
import sys

import pytest

from vllmd.util.allocator import (
    LARGE_BYTES,
    give_back_large_blocks,
    share_one_heap,
    stop_collecting_what_is_there,
)

SCRIPT = """
import sys
from vllmd.util.allocator import give_back_large_blocks

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096

if sys.argv[1] == "yes":
    assert give_back_large_blocks()
before = resident()
del (first := [bytearray(20 << 20)])[:]
kept = []
for _ in range(50):
    large = bytearray(b"x") * 1_000_000
    kept.append(bytes(2000))
    blocks = [bytearray(b"x") * 1_000_000 for _ in range(3)]
    kept.append([bytes(2000) for _ in range(20)])
    del large, blocks
print(resident() - before)
"""


THREADS = """
import ctypes, sys, threading
from vllmd.util.allocator import share_one_heap

if sys.argv[1] == "yes":
    assert share_one_heap()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
met = threading.Barrier(6)
kept = []

def work():
    met.wait(10)
    kept.append(library.malloc(5000))
    met.wait(10)

threads = [threading.Thread(target=work) for _ in range(6)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(max(kept) - min(kept))
"""


def _spread(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", THREADS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_threads_share_one_heap() -> None:
    """Found by a soak: each thread's heap kept what it had freed, and nobody else used it."""
    assert share_one_heap()
    assert _spread("no") > 64 << 20
    assert _spread("yes") < 4 << 20


def test_give_back_large_blocks_takes_effect_with_glibc() -> None:
    assert give_back_large_blocks()
    assert LARGE_BYTES == 262_144


def test_memory_of_large_blocks_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "yes"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 2_500_000, done.stdout


@pytest.mark.long
def test_what_is_there_is_not_looked_through_again_and_what_comes_is() -> None:
    kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    try:
        stop_collecting_what_is_there()
        assert not {id(each) for each in gc.get_objects()} & set(map(id, kept))
        ring: list[object] = []
        ring.append(ring)
        found = id(ring)
        assert found in {id(each) for each in gc.get_objects()}
        del ring
        assert gc.collect() >= 1
    finally:
        gc.unfreeze()
