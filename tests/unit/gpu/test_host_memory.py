from pathlib import Path

import pytest

from vllmd.gpu.host_memory import HostMemory, largest_share, read, room_bytes
from vllmd.util.units import GIB


def test_total_and_available_are_in_bytes(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:  60 kB\nHugePages_Free: 1\n")
    assert read(file) == HostMemory(102_400, 61_440)
    file.write_text("MemTotal:  100 kB\nMemFree:  10 kB\n")
    assert read(file) == HostMemory(102_400, 10_240), "a kernel that does not tell it"


def test_host_that_does_not_tell_is_not_known(tmp_path: Path) -> None:
    assert read(tmp_path / "missing") is None
    (tmp_path / "meminfo").write_text("")
    assert read(tmp_path / "meminfo") is None


@pytest.mark.parametrize(
    ("gib", "share"), [(120, 0.85), (64, 0.85), (16, 0.75), (8, 0.5), (2, 0.01)]
)
def test_largest_share_leaves_room_to_the_host(gib: int, share: float) -> None:
    assert largest_share(gib * GIB) == share
    assert room_bytes(gib * GIB) >= 4 * GIB
