import socket

import pytest

from vllmd.errors import VllmdError
from vllmd.http.address import bind, unused_listen


def test_bind_port_in_use_says_how_to_find_who() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(VllmdError, match=rf"sport = {port}'\) or change traces.listen_grpc"):
            bind(("127.0.0.1", port), "traces.listen_grpc")


@pytest.mark.parametrize(
    ("wanted", "held", "unused"),
    [
        (("0.0.0.0", 9840), ("127.0.0.1", 1), False),  # the default is nobody's wish
        (("127.0.0.1", 9840), ("127.0.0.1", 9840), False),
        (("::", 9999), ("0.0.0.0", 9999), False),
        (("127.0.0.1", 9840), ("::", 9840), True),
        (("0.0.0.0", 9999), ("::", 9840), True),
    ],
)
def test_unused_listen_is_said_where_the_managers_socket_is_elsewhere(
    wanted: tuple[str, int], held: tuple[str, int], unused: bool
) -> None:
    assert (unused_listen(wanted, held) is not None) is unused
