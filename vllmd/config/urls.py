"""Where this host reaches a server that listens on an address."""

import ipaddress
import socket

_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url_of(host: str, port: int) -> str:
    """Return such as ``http://127.0.0.1:8000``; who listens everywhere is reached on loopback."""
    host = _HERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_here(host: str) -> bool:
    """Tell whether a name or an address is known to be of this host."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("localhost", socket.gethostname())
    return address.is_loopback or address.is_unspecified
