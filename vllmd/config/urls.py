"""Where this host reaches a server that listens on an address."""

_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url_of(host: str, port: int) -> str:
    """Return such as ``http://127.0.0.1:8000``; who listens everywhere is reached on loopback."""
    host = _HERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
