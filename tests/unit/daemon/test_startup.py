import errno
import os
import resource
from pathlib import Path

import pytest

from tests.helpers.make import config
from vllmd.daemon import startup
from vllmd.errors import ConfigError, DaemonRunningError, VllmdError


def test_take_lock_second_daemon_names_the_first(tmp_path: Path) -> None:
    lock = startup.take_lock(tmp_path)
    with pytest.raises(DaemonRunningError, match=rf"pid {os.getpid()}"):
        startup.take_lock(tmp_path)
    os.close(lock)
    os.close(startup.take_lock(tmp_path))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_take_lock_is_had_though_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nobody would look after engines that serve."""

    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        lock = startup.take_lock(tmp_path)
    with pytest.raises(DaemonRunningError, match="pid unknown"):
        startup.take_lock(tmp_path)
    os.close(lock)


def test_make_directories_that_cannot_be_made_says_which(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    given = config(f'[daemon]\nrun_dir = "{blocked}/run"')
    with pytest.raises(VllmdError, match=r"cannot make .*/file/run"):
        startup.make_directories(given)


def test_refuse_other_place_names_what_a_reload_cannot_change() -> None:
    before = config("").daemon
    startup.refuse_other_place(before, config("[daemon]\npoll_s = 9.0\n").daemon)
    moved = config('[daemon]\nrun_dir = "/elsewhere"\n').daemon
    with pytest.raises(ConfigError, match=r"daemon\.run_dir is now '/elsewhere'.*restart"):
        startup.refuse_other_place(before, moved)


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1024, 524_288), (65_536, 524_288)),
        ((1024, 4096), (4096, 4096)),
        ((1024, -1), (65_536, -1)),
        ((100_000, 524_288), None),
        ((-1, -1), None),
    ],
)
def test_raise_open_files_goes_as_far_as_the_hard_limit(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], raised: tuple[int, int] | None
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: asked.append(wanted))
    startup.raise_open_files()
    assert asked == ([raised] if raised else [])


def test_raise_open_files_forbidden_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", forbid)
    startup.raise_open_files()


def test_make_directories_goes_on_where_a_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(path: str, _: object) -> None:
        raise TimeoutError(path)

    monkeypatch.setattr(startup, "call_within", hangs)
    folders = "\n".join(f'{n}_dir = "{tmp_path}/{n}"' for n in ("run", "state", "log"))
    startup.make_directories(config(f"[daemon]\n{folders}"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
