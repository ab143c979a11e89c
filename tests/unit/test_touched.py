"""The watch over unit tests, watched: see `tests/helpers/host.py`."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.host import Host, TouchedError
from vllmd.engine.stopping import cleanup

HOME = os.path.expanduser("~")
"""The real one: this is read before a test begins."""


def bind() -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("/run/vllmd-probe.sock")


DEEDS: dict[str, Callable[[], object]] = {
    "unlink": lambda: os.unlink("/dev/shm/psm_vllmd_probe"),
    "iterdir": lambda: list(Path("/dev/shm").iterdir()),
    "write": lambda: Path("/run/vllmd-probe").write_text(""),
    "rename": lambda: os.rename("/nowhere/a", "/var/lib/vllmd-probe"),
    "cache": lambda: os.mkdir(f"{HOME}/.cache/vllmd-probe"),
    "bind": bind,
    "kill": lambda: os.kill(os.getppid(), signal.SIGCONT),
    "kill this": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_host_touched_by_a_test_is_stopped_and_told_though_it_is_hidden(
    host: Host, deed: str
) -> None:
    def hidden() -> None:
        with host.watched(), contextlib.suppress(TouchedError):  # as a broad `except` would
            DEEDS[deed]()

    with pytest.raises(TouchedError):
        hidden()


def test_host_that_is_only_read_and_own_folders_and_children_are_free(
    tmp_path: Path, host: Host
) -> None:
    with host.watched():
        os.stat("/dev/shm")
        os.listdir("/run")
        (tmp_path / "a").write_text("")
        child = subprocess.Popen(["/bin/sleep", "60"])
        child.kill()
        child.wait()
        os.kill(os.getpid(), signal.SIGCONT)


def test_shared_memory_of_a_unit_test_is_empty_and_its_own() -> None:
    assert Path("/dev/shm") != cleanup.SHARED_MEMORY
    assert list(cleanup.SHARED_MEMORY.iterdir()) == []
    (cleanup.SHARED_MEMORY / "psm_left").touch()
