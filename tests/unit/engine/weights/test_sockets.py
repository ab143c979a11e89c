import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.engine.weights import sockets


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as name:
        yield Path(name)


def bound(path: Path, *, listens: bool = True) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    if listens:
        made.listen()
    return made


def test_listening_counts_sockets_on_which_somebody_listens(folder: Path) -> None:
    assert sockets.listening(folder) == 0
    with bound(folder / "vllm_weight_cache_a.sock"), bound(folder / "vllm_weight_cache_b.sock"):
        with bound(folder / "shim.sock"), bound(folder / "vllm_weight_cache_c", listens=True):
            assert sockets.listening(folder) == 2
        assert sockets.listening(folder / "other") == 0
    assert (folder / "vllm_weight_cache_a.sock").exists(), "who was killed leaves its file"
    assert sockets.listening(folder) == 0


def test_bound_socket_that_does_not_listen_does_not_count(folder: Path) -> None:
    with bound(folder / "vllm_weight_cache_a.sock", listens=False):
        assert sockets.listening(folder) == 0


def test_socket_whose_file_was_removed_does_not_count(folder: Path) -> None:
    with bound(folder / "vllm_weight_cache_a.sock"):
        (folder / "vllm_weight_cache_a.sock").unlink()
        assert sockets.listening(folder) == 0


def test_clear_removes_sockets_and_locks_alone(folder: Path) -> None:
    bound(folder / "vllm_weight_cache_a.sock").close()
    (folder / "vllm_weight_cache_a.sock.lock").touch()
    (folder / "run.json").touch()
    sockets.clear(folder)
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_kernel_that_does_not_tell_is_no_number(folder: Path) -> None:
    assert sockets.listening(folder, str(folder / "none")) is None
