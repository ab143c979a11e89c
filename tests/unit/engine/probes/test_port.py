import errno
import os
import socket
import subprocess
import sys

import psutil
import pytest

from vllmd.engine.probes.port import MOST_SHOWN, listener_on, owned_by_tree, port_free
from vllmd.shim import proc

LISTEN = (
    "import socket; s = socket.create_server(('127.0.0.1', 0));"
    "print(s.getsockname()[1], flush=True); input()"
)


def test_owned_by_tree_knows_its_own_listener_from_a_foreign_one() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    port = int(child.stdout.readline())
    try:
        assert owned_by_tree(os.getpid(), port) is True
        with socket.create_server(("127.0.0.1", 0)) as ours:
            assert owned_by_tree(os.getpid(), ours.getsockname()[1]) is False
        assert owned_by_tree(child.pid, port) is False
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("host", ["a" * 70, "x..y", "192.0.2.1"])
def test_port_free_host_on_which_nobody_could_listen_is_not_taken(host: str) -> None:
    """It would be told that another has the port; and a name of 70 letters ended who asks."""
    assert port_free(host, 8000)


def test_port_free_without_a_descriptor_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptor(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", no_descriptor)
    assert port_free("127.0.0.1", 8000)


def test_owned_by_tree_without_a_descriptor_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that serves would be taken for one that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]

        def no_descriptor(*_: object, **__: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        with monkeypatch.context() as patch:
            patch.setattr(proc, "open", no_descriptor, raising=False)
            assert owned_by_tree(os.getppid(), port) is None
        monkeypatch.setattr(psutil.Process, "net_connections", no_descriptor)
        assert owned_by_tree(os.getppid(), port) is None


def test_listener_on_is_one_line_however_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "command_line", lambda _: "python3 -c \nimport x\n" + "y" * 200)
    with socket.create_server(("127.0.0.1", 0)) as server:
        named = listener_on(server.getsockname()[1]) or ""
    assert named.startswith("python3 -c import x yyy")
    assert len(named) <= MOST_SHOWN + len(" (pid 4194304)")


def test_port_free_and_listener_on_see_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_free("127.0.0.1", port)
        assert f"(pid {os.getpid()})" in (listener_on(port) or "")
    assert port_free("127.0.0.1", port)
    assert listener_on(port) is None
