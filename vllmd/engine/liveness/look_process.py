"""The process that looks at an engine once, beside a daemon that may be late.

Standard library only. One line of JSON in says what to ask, one line out what came. It measures how
late it is itself, by its own short waits: what it did not hear while it was late, nobody may hold
against the engine.
"""

import errno
import json
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

VERSION = 1
SLICE_S = 0.1
"""No wait is longer, so that being late is seen."""
TOLERANCE_S = 0.05
MAX_BYTES = 32 * 1024 * 1024
PAUSED_S = 2.0
"""How long is waited for whether it is paused: a server may ask its core, which may hang."""


class Lateness:
    """How late this process was so far, in seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.monotonic()

    def note(self) -> None:
        """Take note of one wait, or of what was done between two."""
        now = time.monotonic()
        self.seconds += max(0.0, now - self._last - SLICE_S - TOLERANCE_S)
        self._last = now


def ask(request: dict[str, Any], host: str, port: int, limit_s: float, late: Lateness) -> bytes:
    """Send a request and return all that comes until the other side closes.

    Raises: OSError: it is refused, reset, or nothing came in time.
    """
    body = request.get("body", "").encode()
    head = [f"{request['method']} {request['path']} HTTP/1.1", f"Host: {host}:{port}"]
    head += ["Connection: close", "Accept-Encoding: identity", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in request.get("headers", {}).items()]
    left = "\r\n".join([*head, "", ""]).encode() + body
    received = bytearray()
    began, late_before = time.monotonic(), late.seconds

    def left_s() -> float:
        return limit_s - (time.monotonic() - began - (late.seconds - late_before))

    with connect(host, port, left_s, late) as connection:
        while left_s() > 0:
            writes = [connection] if left else []
            reads = [] if left else [connection]
            readable, writable, _ = select.select(reads, writes, [], SLICE_S)
            late.note()
            if writable:
                left = left[connection.send(left) :]
            elif readable:
                block = connection.recv(65536)
                if not block or len(received) > MAX_BYTES:
                    return bytes(received)
                received += block
    raise TimeoutError(f"nothing within {limit_s:g} s")


def connect(host: str, port: int, left_s: Callable[[], float], late: Lateness) -> socket.socket:
    """Connect to the first address of a name that takes it: `localhost` has two, mostly.

    Raises: OSError: none does; that it is refused only if nothing of this host is in the way.
    """
    errors: list[OSError] = []
    for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            connection = socket.socket(family, kind, proto)
        except OSError as error:
            errors.append(error)
            continue
        try:
            _reach(connection, address, left_s, late)
        except TimeoutError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            errors.append(error)
        else:
            return connection
    raise next((e for e in errors if not isinstance(e, ConnectionRefusedError)), errors[-1])


def _reach(
    connection: socket.socket, address: Any, left_s: Callable[[], float], late: Lateness
) -> None:
    connection.setblocking(False)
    if (error := connection.connect_ex(address)) not in (0, errno.EINPROGRESS):
        raise OSError(error, "connect")
    while left_s() > 0:
        _, writable, _ = select.select([], [connection], [], SLICE_S)
        late.note()
        if writable:
            if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, "connect")
            return
    raise TimeoutError("no connection in time")


def parse(response: bytes) -> tuple[int, bytes]:
    """Return the status and the body of a response.

    Raises: ValueError: it is none.
    """
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    status = int(lines[0].split(b" ")[1:2][0]) if lines[0].startswith(b"http/") else 0
    if not status:
        raise ValueError(f"no HTTP: {head[:40]!r}")
    if b"transfer-encoding: chunked" not in lines:
        return status, body
    whole = bytearray()
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if length == 0:
            return status, bytes(whole)
        whole += body[:length]
        body = body[length + 2 :]


def is_paused(host: str, port: int, limit_s: float, late: Lateness) -> bool:
    """Tell whether an engine says that it was paused; whatever else comes says nothing.

    Source: vLLM's `GET /is_paused`, which a server has or has not.
    """
    try:
        status, body = parse(
            ask({"method": "GET", "path": "/is_paused"}, host, port, limit_s, late)
        )
        said = json.loads(body)
    except (OSError, ValueError, IndexError, RecursionError):
        return False
    return status == 200 and isinstance(said, dict) and said.get("is_paused") is True


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    """Ask for the canary, if one is wanted, then for the page; say what came of both.

    One with a page is asked whether it is paused, too.
    """
    late = Lateness()
    late.seconds = max(0.0, time.monotonic() - wanted["asked_at"] - wanted["start_s"])
    said: dict[str, Any] = {"version": VERSION, "page": "", "status": 0, "canary": False}
    where = (wanted["host"], wanted["port"], wanted["limit_s"], late)
    if wanted["canary"] is not None:
        try:
            said["canary"] = parse(ask(wanted["canary"], *where))[0] > 0
        except (OSError, ValueError):
            said["canary"] = False
    try:
        said["status"], page = parse(ask({"method": "GET", "path": "/metrics"}, *where))
        keep = tuple(name.encode() for name in wanted["keep"])
        lines = [line for line in page.split(b"\n") if line.startswith(keep)]
        said["page"] = b"\n".join(lines).decode(errors="replace")
        said["answer"] = "page" if said["status"] == 200 else "other"
    except ConnectionRefusedError:
        said["answer"] = "refused"
    except (ConnectionError, TimeoutError, ValueError, IndexError) as error:
        said["answer"], said["problem"] = "none", repr(error)
    except OSError as error:  # of this host: no address, no descriptor
        said["answer"], said["problem"] = "unknown", repr(error)
    said["late_s"] = late.seconds
    host, port, limit_s, _ = where
    said["paused"] = said["answer"] == "page" and is_paused(
        host, port, min(limit_s, PAUSED_S), late
    )
    return said


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.stdin.readline()))))
