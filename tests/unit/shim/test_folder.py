import os
import shutil
from pathlib import Path

import pytest

from vllmd.shim import protocol
from vllmd.shim.folder import EngineFolder


def locks_open(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}"):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return [each for each in links if each.startswith(str(folder))]


def test_lock_is_held_by_one_until_it_is_closed(tmp_path: Path) -> None:
    first, second = EngineFolder(str(tmp_path)), EngineFolder(str(tmp_path))
    assert first.lock()
    assert not second.lock()
    first.close()
    first.close()  # which is nothing now
    assert second.lock()
    second.close()


def test_lock_in_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        EngineFolder(str(tmp_path / "none")).lock()


@pytest.mark.parametrize("removed", ["engines", "engines/chat", "engines/chat/shim.lock", None])
def test_put_back_makes_what_was_removed_and_holds_its_lock(
    tmp_path: Path, removed: str | None
) -> None:
    path = tmp_path / "engines" / "chat"
    path.mkdir(parents=True)
    folder, other = EngineFolder(str(path)), EngineFolder(str(path))
    assert folder.lock()
    if removed == "engines/chat/shim.lock":
        (tmp_path / removed).unlink()
    elif removed is not None:
        shutil.rmtree(tmp_path / removed)
    assert folder.put_back()
    assert not other.lock()
    assert (path / protocol.LOCK_NAME).stat().st_mode & 0o777 == 0o600
    assert locks_open(tmp_path) == [str(path / protocol.LOCK_NAME)]
    if removed in ("engines", "engines/chat"):
        assert path.stat().st_mode & 0o777 == 0o700
    folder.close()
    assert other.lock()
    other.close()


def test_put_back_of_one_that_never_held_the_lock_takes_it(tmp_path: Path) -> None:
    folder, other = EngineFolder(str(tmp_path / "chat")), EngineFolder(str(tmp_path / "chat"))
    assert folder.put_back()
    assert not other.put_back()
    folder.close()


def test_put_back_leaves_a_folder_in_which_another_shim_began(tmp_path: Path) -> None:
    path = tmp_path / "chat"
    path.mkdir()
    folder, other = EngineFolder(str(path)), EngineFolder(str(path))
    assert folder.lock()
    shutil.rmtree(path)
    path.mkdir()
    assert other.lock()
    assert not folder.put_back()
    other.close()
    folder.close()
