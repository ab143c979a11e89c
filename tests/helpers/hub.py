"""A hub on loopback: its API, files with ranges and ETags, LFS by a redirect; and what fails."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

COMMIT = "c0ffee" + "0" * 34
LARGE = 1000
"""From so many bytes on a file is in LFS."""


@attrs.define
class FakeHub:
    """One model, `org/m`, and how the hub behaves."""

    files: dict[str, bytes]
    url: str = ""
    name: str = "org/m"
    """What it is called by now, if it was renamed."""
    token: str | None = None
    """What has to be given, if anything."""
    gated: bool = False
    break_after: int | None = None
    """Bytes of a body after which the connection ends, once for each file."""
    hold: threading.Event | None = None
    """Where set, a body stops after `break_after` bytes until this is."""
    busy: int = 0
    """How many of the next downloads are answered with 503."""
    ranges: bool = True
    listed: dict[str, Any] = attrs.field(factory=dict)
    """What it says of each file that is not so."""
    padding: int = 0
    """Bytes of blanks before what it says of the model."""
    changed: bool = False
    """Whether something on the way changes what is in large files."""
    asked: list[tuple[str, str | None]] = attrs.field(factory=list)
    """Paths of files with the range that was asked for."""
    broken: set[str] = attrs.field(factory=set)
    tokens: list[str | None] = attrs.field(factory=list)

    def siblings(self) -> list[dict[str, Any]]:
        return [self._sibling(name, content) for name, content in self.files.items()]

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        found: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": blob}
        if len(content) >= LARGE:
            found["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return found | self.listed

    def blob(self, name: str) -> str:
        entry = self._sibling(name, self.files[name])
        return str(entry["lfs"]["sha256"] if "lfs" in entry else entry["blobId"])


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        given = self.headers.get("authorization")
        hub.tokens.append(given)
        cdn = path.startswith("/cdn/")
        if hub.token and given != f"Bearer {hub.token}" and not cdn:
            self._end(401, {"x-error-code": "GatedRepo"} if hub.gated else {})
        elif path == "/api/models/org/m/revision/main":
            body = {"id": hub.name, "sha": COMMIT, "siblings": hub.siblings()}
            content = b" " * hub.padding + json.dumps(body).encode()
            self._end(200, {"content-type": "application/json"}, content)
        elif path.startswith("/api/models/org/m/revision/"):
            self._end(404, {"x-error-code": "RevisionNotFound"})
        elif path.startswith(f"/{hub.name}/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/{hub.name}/resolve/{COMMIT}/")
            if len(hub.files[name]) >= LARGE:
                self._end(302, {"location": f"/cdn/{name}", "etag": f'"{hub.blob(name)}"'})
            else:
                self._file(name)
        elif cdn:
            self._file(path.removeprefix("/cdn/"))
        else:
            self._end(404, {"x-error-code": "RepoNotFound"})

    def _file(self, name: str) -> None:
        hub = self.hub
        if hub.busy:
            hub.busy -= 1
            self._end(503, {})
            return
        content, wanted = hub.files[name], self.headers.get("range")
        hub.asked.append((name, wanted))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and hub.ranges else 0
        if start >= len(content) > 0:
            self._end(416, {"content-range": f"bytes */{len(content)}"})
            return
        body = content[start:]
        if hub.changed and len(content) >= LARGE:
            body = body[:-1] + b"?"
        self.send_response(206 if start else 200)
        self.send_header("content-length", str(len(body)))
        self.send_header("etag", f'"{hub.blob(name)}"')
        if start:
            self.send_header("content-range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if hub.break_after is not None and name not in hub.broken and len(content) >= LARGE:
            hub.broken.add(name)
            if hub.hold is not None:
                self.wfile.write(body[: hub.break_after])
                hub.hold.wait()
            body = body[: hub.break_after]
            self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def _end(self, code: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve it; its address is in `url`."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
