import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.engine.process import lost_shim
from vllmd.shim import proc, protocol


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Listen in a folder as a shim does, and have this process pass for one."""
    monkeypatch.setattr(
        proc, "command_line", lambda _: f"python3 -I -S -B /usr/lib/site/{lost_shim.PROGRAM}"
    )
    stat = proc.read_stat(os.getpid())
    assert stat is not None
    monkeypatch.setattr(proc, "all_processes", lambda: iter([stat]))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / protocol.SOCKET_NAME))
        listener.listen()
        yield tmp_path


def test_find_socket_that_is_there_is_not_lost(bound: Path) -> None:
    assert lost_shim.find(bound) is None


def test_find_socket_that_was_removed_names_the_process(bound: Path) -> None:
    (bound / protocol.SOCKET_NAME).unlink()
    assert lost_shim.find(bound) == os.getpid()


def test_find_socket_of_another_folder_is_none_of_it(bound: Path) -> None:
    (bound / protocol.SOCKET_NAME).unlink()
    assert lost_shim.find(bound / "other") is None
    assert lost_shim.find(bound.parent) is None


def test_find_process_that_is_no_shim_is_left_alone(
    bound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bound / protocol.SOCKET_NAME).unlink()
    monkeypatch.setattr(proc, "command_line", lambda _: "python3 -m pytest")
    assert lost_shim.find(bound) is None


def test_find_shim_of_another_container_is_none_of_ours(bound: Path, tmp_path: Path) -> None:
    (bound / protocol.SOCKET_NAME).unlink()
    listed = tmp_path / "unix"
    path = bound / protocol.SOCKET_NAME
    listed.write_text(f"Num RefCount\n0: 00000002 00000000 00010000 0001 01 1 {path}\n")
    assert lost_shim.find(bound, str(listed)) is None


def test_find_shim_that_sees_its_socket_is_of_another_container(
    bound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bound / protocol.SOCKET_NAME).unlink()
    stats: list[str] = []
    monkeypatch.setattr(os, "lstat", stats.append)  # with its own mounts it is there
    assert lost_shim.find(bound) is None
    assert stats == [f"/proc/{os.getpid()}/root{bound / protocol.SOCKET_NAME}"]


def test_find_shim_whose_folder_cannot_be_looked_at_is_left_alone(
    bound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    (bound / protocol.SOCKET_NAME).unlink()
    monkeypatch.setattr(os, "lstat", refuse)
    assert lost_shim.find(bound) is None


def test_find_without_a_list_of_sockets_is_none(bound: Path, tmp_path: Path) -> None:
    (bound / protocol.SOCKET_NAME).unlink()
    assert lost_shim.find(bound, str(tmp_path / "none")) is None


def test_asking_sends_what_a_shim_takes_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, signal.Signals]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    lost_shim.ask_back(7)
    lost_shim.ask_end(8)
    assert sent == [(7, signal.SIGHUP), (8, signal.SIGTERM), (8, signal.SIGCONT)]


def test_asking_a_process_that_is_gone_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int, number: int) -> None:
        raise ProcessLookupError(pid, number)

    monkeypatch.setattr(os, "kill", gone)
    lost_shim.ask_back(7)
    lost_shim.ask_end(7)
