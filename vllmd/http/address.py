"""An address that is listened on: bound here, or held by the service manager."""

import socket

from vllmd.errors import VllmdError

UNIT = "vllmd-exporter.socket"


def bind(address: tuple[str, int], key: str) -> socket.socket:
    """Listen on an address, which `key` of the configuration names.

    Raises: VllmdError: it cannot be had.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise VllmdError(
            f"cannot listen on {host}:{port}: {error.strerror}; end what has the port "
            f"(ss -ltnp 'sport = {port}') or change {key}"
        ) from None
    return listener


def unused_listen(wanted: tuple[str, int], held: tuple[str, int]) -> str | None:
    """Say that `listen` is not where the service manager's socket listens; None if it is.

    The default is nobody's wish.
    """
    everywhere = {"0.0.0.0": "", "::": ""}
    same = [(everywhere.get(host, host), port) for host, port in (wanted, held)]
    if same[0] == same[1] or wanted == ("0.0.0.0", 9840):
        return None
    return (
        f"daemon.listen is {wanted[0]}:{wanted[1]}, and {UNIT} of systemd listens on "
        f"{held[0]}:{held[1]}: the unit decides; change it there (systemctl edit {UNIT}), or take "
        "the key out"
    )
