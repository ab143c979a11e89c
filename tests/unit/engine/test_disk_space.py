import os
from pathlib import Path

import pytest

from vllmd.engine import disk_space
from vllmd.engine.disk_space import FreeSpace, look, with_numbers
from vllmd.util.units import GIB, MIB


@pytest.mark.parametrize(
    ("room", "needed", "enough"),
    [
        (FreeSpace("/a", GIB, 100 * GIB, 500, 1000), GIB, True),
        (FreeSpace("/a", GIB - 1, 100 * GIB, 500, 1000), GIB, False),
        (FreeSpace("/small", 410 * 1024, 8 * MIB, 500, 1000), GIB, True),
        (FreeSpace("/small", 400 * 1024, 8 * MIB, 500, 1000), GIB, False),
        (FreeSpace("/a", 100 * GIB, 100 * GIB, 15, 1_000_000), MIB, False),
        (FreeSpace("/a", 100 * GIB, 100 * GIB, 16, 1_000_000), MIB, True),
        (FreeSpace("/few files", 100 * GIB, 100 * GIB, 5, 100), MIB, True),
        (FreeSpace("/btrfs", 100 * GIB, 100 * GIB, 0, 0), MIB, True),
    ],
)
def test_is_enough_asks_for_what_is_needed_and_of_a_small_disk_for_a_share(
    room: FreeSpace, needed: int, enough: bool
) -> None:
    assert room.is_enough(needed) is enough


def test_look_is_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    found = look(tmp_path / "not" / "there")
    assert found.folder == str(tmp_path / "not" / "there")
    assert (found.bytes, found.files) == (look(tmp_path).bytes, look(tmp_path).files)
    assert 0 < found.free_bytes <= found.bytes


def test_with_numbers_names_the_full_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = {
        Path("/run"): FreeSpace("/run", 0, 8 * MIB, 0, 2048),
        Path("/log"): FreeSpace("/log", GIB, 10 * GIB, 0, 0),
    }
    monkeypatch.setattr(disk_space, "look", rooms.__getitem__)
    text = f"{os.strerror(28)}: /run/x"
    said = "(/run has 0 B of 8.0 MiB and 0 of 2,048 files (inodes) free)"
    assert with_numbers(text, *rooms) == f"No space left on device: /run/x {said}"
    assert with_numbers("another error", *rooms) == "another error"
    del rooms[Path("/run")]
    assert "/log has 1.0 GiB of 10.0 GiB free" in with_numbers(text, *rooms)
