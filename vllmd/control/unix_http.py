"""HTTP/1.1 over a Unix socket, as much of it as the control socket's clients need.

`http.client` can do it too, but imports ssl and email: half as long again as all else that a
command needs before it asks.
"""

import socket
import struct
from typing import BinaryIO

TIMEOUT_S = 10.0
MAX_LINE_BYTES = 65536
MAX_HEADERS = 100
_CONNECT_TIMEOUT = struct.pack("@ll", int(TIMEOUT_S), 0)


class UnixConnection:
    """One connection, that can be used again; the first request opens it."""

    def __init__(self, path: str, timeout_s: float = TIMEOUT_S) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._socket: socket.socket | None = None
        self._answers: BinaryIO | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request was answered on it, and another one may be."""
        return self._socket is not None

    def connect(self) -> None:
        """Open it. Raises: OSError."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # the kernel waits for a place in a full queue; Python's own time-out gives up at once
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _CONNECT_TIMEOUT)
        self._socket.connect(self._path)
        self._socket.settimeout(self._timeout_s)
        self._answers = self._socket.makefile("rb")

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request; return the status and the body of its answer.

        Raises: OSError: it cannot be sent, nothing came in time, or what came is no HTTP.
        """
        if self._socket is None:
            self.connect()
        assert self._socket is not None
        head = [f"{method} {target} HTTP/1.1", "Host: vllmd"]
        if body is not None or method != "GET":
            head.append(f"Content-Length: {len(body or b'')}")
        if body is not None:
            head.append("Content-Type: application/json")
        self._socket.sendall("\r\n".join([*head, "\r\n"]).encode() + (body or b""))
        status, headers = self._head()
        text = self._body(headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, text

    def close(self) -> None:
        """Close it; the next request opens it again."""
        for each in (self._answers, self._socket):
            if each is not None:
                each.close()
        self._socket = self._answers = None

    def _head(self) -> tuple[int, dict[str, str]]:
        words = self._line().split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
            raise ConnectionError(f"no HTTP: {' '.join(words)[:80]!r}")
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
            if len(headers) > MAX_HEADERS:
                raise ConnectionError(f"more than {MAX_HEADERS} headers")
        return int(words[1]), headers

    def _line(self) -> str:
        assert self._answers is not None
        line = self._answers.readline(MAX_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise ConnectionError("the answer ended too soon" if line else "no answer came")
        return line.decode("latin-1").rstrip("\r\n")

    def _body(self, headers: dict[str, str]) -> bytes:
        assert self._answers is not None
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        length = headers.get("content-length")
        if length is None:  # it ends where the connection does
            text = self._answers.read()
            self.close()
            return text
        if not length.isdecimal():
            raise ConnectionError(f"no length: {length[:80]!r}")
        return self._exactly(int(length))

    def _chunks(self) -> list[bytes]:
        parts = []
        while size := self._chunk_size():
            parts.append(self._exactly(size))
            self._line()
        while self._line():
            pass
        return parts

    def _chunk_size(self) -> int:
        line = self._line()
        try:
            return int(line.partition(";")[0], 16)
        except ValueError:
            raise ConnectionError(f"no size of a chunk: {line[:80]!r}") from None

    def _exactly(self, size: int) -> bytes:
        assert self._answers is not None
        text = self._answers.read(size)
        if len(text) < size:
            raise ConnectionError(f"the answer ended after {len(text)} of {size} bytes")
        return text
