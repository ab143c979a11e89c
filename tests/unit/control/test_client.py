import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.helpers.control import FakeEngine, control_socket
from vllmd.control.client import ControlClient
from vllmd.errors import (
    DaemonUnreachableError,
    NotPermittedError,
    UnknownEngineError,
    VllmdError,
)


def test_engine_is_found_by_name(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", FakeEngine("a"), FakeEngine("b")) as path:
        assert ControlClient(path).engine("b")["name"] == "b"
        with pytest.raises(UnknownEngineError, match="there is: a, b"):
            ControlClient(path).engine("c")


def test_kept_connection_is_used_again_and_made_anew_for_another_daemon(tmp_path: Path) -> None:
    client = ControlClient(tmp_path / "c.sock", keep=True)
    with control_socket(tmp_path / "c.sock", FakeEngine("chat")):
        client.status()
        (kept,) = client._kept
        assert client.engine("chat")["state"] == "ready"
        assert [*client._kept] == [kept]
    with control_socket(tmp_path / "c.sock", FakeEngine("code")):
        assert client.engine("code")["state"] == "ready"
        assert kept not in client._kept
    with pytest.raises(DaemonUnreachableError):
        client.status()


def test_nobody_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachableError, match="systemctl start vllmd"):
        ControlClient(tmp_path / "none.sock").status()


def test_socket_of_a_dead_daemon_is_unreachable(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(DaemonUnreachableError):
        ControlClient(path).status()


def test_full_queue_is_waited_for(tmp_path: Path) -> None:
    """As in a flood of connections: the daemon lives, and takes them one after the other."""
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))

        def serve() -> None:
            listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        asked = threading.Timer(0.2, serve)
        asked.start()
        assert ControlClient(path).status() == {}
        asked.join()


def test_no_right_to_connect_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("vllmd.control.unix_http.UnixConnection.connect", refuse)
    with pytest.raises(NotPermittedError, match="join the group vllmd"):
        ControlClient(tmp_path / "c.sock").status()


def test_client_starts_fast_without_what_it_does_not_need() -> None:
    late = "{'httpx', 'http.client', 'ssl', 'asyncio', 'attrs', 'sqlite3'}"
    code = f"import sys, vllmd.control.client; sys.exit(int(bool({late} & set(sys.modules))))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("body", [b"Internal Server Error", b"[" * 100_000, b"[]", b"7"])
def test_answer_that_is_no_object_is_no_absence_of_the_daemon(tmp_path: Path, body: bytes) -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            head = b"HTTP/1.1 500 E\r\nContent-Length: %d\r\n\r\n" % len(body)
            connection.sendall(head + body)

    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        with pytest.raises(VllmdError, match=r"answered 500 and .*journalctl") as raised:
            ControlClient(path).status()
    assert not isinstance(raised.value, DaemonUnreachableError)
