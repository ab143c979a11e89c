import os
import socket

from vllmd.groups.witness import connected_addresses


def test_connected_addresses_only_of_processes_below_the_shim() -> None:
    assert connected_addresses(os.getpid()) == frozenset()


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
        try:
            connection, _ = server.accept()
            assert connected_addresses(os.getpid()) == frozenset({"127.0.0.2"})
            connection.close()
            assert connected_addresses(os.getpid()) == frozenset()
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
