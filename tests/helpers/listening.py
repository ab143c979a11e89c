"""A small HTTP server in a thread, for the other end of what is tested."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

POLL_S = 0.02
"""How soon a server sees that it is to end: each test that has one waits for that."""


class Handler(http.server.BaseHTTPRequestHandler):
    """What the handlers of all of them have in common; each has a `reply` of its own."""

    def do_GET(self) -> None:
        self.reply()

    def do_POST(self) -> None:
        self.reply()

    def reply(self) -> None:
        raise NotImplementedError

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, status: int, content: bytes = b"", kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class ServerOfMany(http.server.ThreadingHTTPServer):
    """A server to which hundreds connect at once."""

    request_queue_size = 1024


@contextmanager
def listening(
    handler: type[Handler], port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Serve until the end of the block; yields the URL, without a slash at its end."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
