import gc
import subprocess
import sys

from vllmd.util.allocator import LARGE_BYTES, give_back_large_blocks, stop_collecting_what_is_there

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


def test_give_back_large_blocks_takes_effect_with_glibc() -> None:
    assert give_back_large_blocks()
    assert LARGE_BYTES == 262_144


def test_memory_of_large_blocks_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "yes"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 2_500_000, done.stdout


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
