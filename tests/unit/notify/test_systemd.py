import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from vllmd.notify.systemd import Notifier, take_sockets

CHILD = """
import os
os.environ["LISTEN_PID"] = str(os.getpid())
from vllmd.notify.systemd import take_sockets
found = take_sockets()
print(sorted(found), found["exporter"].getsockname()[1], "LISTEN_FDS" in os.environ)
"""


def test_notifier_sends_and_says_a_status_once(tmp_path: Path) -> None:
    path = str(tmp_path / "n.sock")
    env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        notifier = Notifier(env)
        notifier.send("READY=1", "WATCHDOG=1")
        for text in ("a", "a", "b"):
            notifier.status(text)
        received = [manager.recv(1000) for _ in range(3)]
    assert received == [b"READY=1\nWATCHDOG=1", b"STATUS=a", b"STATUS=b"]
    assert notifier.watchdog_s == 60
    assert env == {}


def test_notifier_status_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n.sock"))
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "n.sock")}).status("held: \x1b[m\nMAINPID=1")
        assert manager.recv(1000) == b"STATUS=held: \\x1b[m\\nMAINPID=1"


def test_notifier_without_a_manager_does_nothing(tmp_path: Path) -> None:
    Notifier({}).send("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).send("READY=1")
    assert Notifier({}).watchdog_s is None


def test_take_sockets_takes_what_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        env = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "exporter"}
        command = f"exec {sys.executable} -c '{CHILD}' 3<&{listener.fileno()}"
        result = subprocess.run(
            ["/bin/bash", "-c", command],
            env=env,
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            check=True,
        )
    assert result.stdout == f"['exporter'] {port} False\n"


def test_take_sockets_of_another_process_are_left_alone() -> None:
    assert take_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}
    assert take_sockets({}) == {}


def test_notifier_goes_on_when_no_descriptor_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the manager would take the daemon for dead, and kill it."""
    path = str(tmp_path / "n.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": path})
        notifier.send("READY=1")

        def fails(*_: object, **__: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(socket, "socket", fails)
        notifier.send("WATCHDOG=1")
        Notifier({"NOTIFY_SOCKET": path}).send("WATCHDOG=1")  # it says nothing, and ends nothing
        assert [manager.recv(1000) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
