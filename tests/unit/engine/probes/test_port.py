import os
import socket
import subprocess
import sys

from vllmd.engine.probes.port import owned_by_tree

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
