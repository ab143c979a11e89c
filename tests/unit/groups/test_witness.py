import builtins
import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.site import wait_for
from vllmd.groups.witness import connected_addresses
from vllmd.shim import proc


@contextlib.contextmanager
def killed(*children: int) -> Iterator[None]:
    """Kill processes at the end of the block, and wait for their ends."""
    try:
        yield
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)


def test_connected_addresses_only_of_processes_below_the_shim() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        child = os.fork()
        if child == 0:
            mine.close()
            signal.pause()
        with mine, killed(child):
            wait_for("it has let go", lambda: connected_addresses(os.getpid()) == frozenset())


def test_connected_addresses_are_not_known_of_a_tree_without_a_process() -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
    with killed(child):
        assert connected_addresses(child) is None


def test_connected_addresses_established_ones_count_and_ended_ones_do_not() -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        child = os.fork()
        if child == 0:
            with socket.create_connection(("127.0.0.2", port)):
                os.read(0, 0)
                socket.socket().close()
                import signal

                signal.pause()
        with killed(child):
            connection, _ = server.accept()
            there = frozenset({"127.0.0.2"})
            wait_for("its connection", lambda: connected_addresses(os.getpid()) == there)
            connection.close()
            wait_for("none", lambda: connected_addresses(os.getpid()) == frozenset())


def test_connected_addresses_reads_the_table_of_sockets_once_for_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    real = builtins.open

    def noting(file: Any, *args: Any, **more: Any) -> Any:
        opened.append(str(file))
        return real(file, *args, **more)

    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        children = [_connected(server.getsockname()[:2]) for _ in range(3)]
        with killed(*children):
            kept = [server.accept()[0] for _ in children]
            monkeypatch.setattr(builtins, "open", noting)
            assert connected_addresses(os.getpid()) == frozenset({"::1"})
            monkeypatch.undo()
            for each in kept:
                each.close()
    tables = [path.rpartition("/")[2] for path in opened if "/net/tcp" in path]
    assert sorted(tables) == ["tcp", "tcp6"]


def test_connected_addresses_of_ipv4_by_a_socket_of_ipv6_are_as_those_of_ipv4() -> None:
    with (
        socket.create_server(("127.0.0.2", 0)) as server,
        killed(_connected(("::ffff:127.0.0.2", server.getsockname()[1]))),
    ):
        connection, _ = server.accept()
        there = frozenset({"127.0.0.2"})
        wait_for("it", lambda: connected_addresses(os.getpid()) == there)
        connection.close()


def test_connected_addresses_clients_of_the_api_do_not_count() -> None:
    """A balancer may run on a host of the group, and its part be gone."""
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.2", port), source_address=("127.0.0.3", 0)):
            child = os.fork()
            if child == 0:
                os.closerange(3, server.fileno())
                accepted = server.accept()
                signal.pause()
                del accepted
            with killed(child):
                wait_for(
                    "the client", lambda: "127.0.0.3" in (connected_addresses(os.getpid()) or ())
                )
                of_others = connected_addresses(os.getpid(), port)
                assert of_others is not None
                assert "127.0.0.3" not in of_others


def test_connected_addresses_are_not_known_where_nothing_may_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        child = _connected(server.getsockname())
        with killed(child):

            def refuse(_: Any) -> list[str]:
                raise PermissionError

            monkeypatch.setattr(proc, "descendants", lambda _: [proc.read_stat(child)])
            monkeypatch.setattr(os, "listdir", refuse)
            assert connected_addresses(os.getpid()) is None


@pytest.mark.parametrize("free", [0, 1])
def test_connected_addresses_are_not_known_without_a_descriptor_to_read_them_with(
    free: int,
) -> None:
    """What could not be read must not be taken for a connection that is gone."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (
        socket.create_server(("127.0.0.2", 0)) as server,
        killed(_connected(server.getsockname())),
    ):
        there = frozenset({"127.0.0.2"})
        wait_for("its connection", lambda: connected_addresses(os.getpid()) == there)
        with socket.socket() as lowest:
            number = lowest.fileno()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number + free, limit[1]))
            found = connected_addresses(os.getpid())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert found == (there if free else None)


def _connected(address: Any) -> int:
    """Return a process that is connected there until it is killed."""
    child = os.fork()
    if child == 0:
        with socket.create_connection(address):
            signal.pause()
    return child
