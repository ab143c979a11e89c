import os
import socket
import subprocess
import sys

from vllmd.engine.probes.port import listener_on, owned_by_tree, port_free

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


def test_port_free_and_listener_on_see_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_free("127.0.0.1", port)
        assert f"(pid {os.getpid()})" in (listener_on(port) or "")
    assert port_free("127.0.0.1", port)
    assert listener_on(port) is None
