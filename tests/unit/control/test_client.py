import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.control import FakeEngine, control_socket
from vllmd.control.client import ControlClient
from vllmd.errors import DaemonUnreachableError, NotPermittedError, UnknownEngineError


def test_engine_is_found_by_name(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine("a"), FakeEngine("b")) as path:
        assert ControlClient(path).engine("b")["name"] == "b"
        with pytest.raises(UnknownEngineError, match="there is: a, b"):
            ControlClient(path).engine("c")


def test_nobody_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachableError, match="systemctl start vllmd"):
        ControlClient(tmp_path / "none.sock").status()


def test_socket_of_a_dead_daemon_is_unreachable(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(DaemonUnreachableError):
        ControlClient(path).status()


def test_no_right_to_connect_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("vllmd.control.client._UnixConnection.connect", refuse)
    with pytest.raises(NotPermittedError, match="join the group vllmd"):
        ControlClient(tmp_path / "c.sock").status()


def test_client_starts_fast_without_httpx() -> None:
    code = "import sys, vllmd.control.client; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
