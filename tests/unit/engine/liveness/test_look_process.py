import errno
import json
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.helpers.ports import free_port
from vllmd.engine.liveness import look_process
from vllmd.engine.liveness.look_process import Lateness, look, parse

NO_FAMILY = 44
"""As IPv6 is to a host where it is switched off."""
PAGE = b"# TYPE a counter\nvllm:a 1\nvllm:b 2\n" + b"x 1\n" * 10_000


@contextmanager
def serving(
    answer: bytes,
    status: int = 200,
    after_s: float = 0.0,
    paused: tuple[int, bytes] = (404, b"{}"),
) -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers["content-length"] or 0)
            body = self.rfile.read(length).decode()
            asked.append(f"{self.path} {self.headers.get('authorization', '')} {body}")
            time.sleep(after_s)
            code, said = paused if self.path == "/is_paused" else (status, answer)
            self.send_response(code)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815 - a name of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    thread.join()
    server.server_close()


def wanted(port: int, **more: Any) -> dict[str, Any]:
    values = {
        "host": "127.0.0.1",
        "port": port,
        "limit_s": 0.3,
        "start_s": 1.0,
        "asked_at": time.monotonic(),
        "keep": ["vllm:"],
        "canary": None,
    }
    return {**values, **more}


def test_look_shows_the_wanted_lines_of_a_page() -> None:
    with serving(PAGE) as (port, _):
        said = look(wanted(port))
    assert (said["answer"], said["page"], said["late_s"]) == ("page", "vllm:a 1\nvllm:b 2", 0)


def test_look_other_status_is_an_answer_without_a_page() -> None:
    with serving(b"no", status=500) as (port, _):
        said = look(wanted(port))
    assert (said["answer"], said["status"]) == ("other", 500)


def test_look_refused_and_silent_are_told_apart() -> None:
    assert look(wanted(free_port()))["answer"] == "refused"
    with serving(PAGE, after_s=0.6) as (port, _):
        said = look(wanted(port))
    assert said["answer"] == "none"
    assert "nothing within 0.3 s" in said["problem"]


def test_look_canary_is_sent_and_its_answer_noted() -> None:
    canary = {
        "method": "POST",
        "path": "/v1/completions",
        "headers": {"authorization": "Bearer k"},
        "body": '{"prompt":"1"}',
    }
    with serving(PAGE) as (port, asked):
        said = look(wanted(port, canary=canary))
    assert asked == ['/v1/completions Bearer k {"prompt":"1"}', "/metrics  ", "/is_paused  "]
    assert (said["canary"], said["answer"]) == (True, "page")


@pytest.mark.parametrize(
    ("answered", "paused"),
    [
        ((200, b'{"is_paused": true}'), True),
        ((200, b'{"is_paused": false}'), False),
        ((200, b'{"is_paused": "true"}'), False),
        ((404, b'{"is_paused": true}'), False),
        ((200, b"[true]"), False),
        ((200, b"\xff no JSON"), False),
        ((200, b""), False),
    ],
)
def test_look_asks_whether_the_engine_is_paused(answered: tuple[int, bytes], paused: bool) -> None:
    with serving(PAGE, paused=answered) as (port, _):
        said = look(wanted(port))
    assert (said["answer"], said["paused"]) == ("page", paused)


def test_look_waits_less_for_whether_it_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may ask its core, and that hangs."""
    limits: list[float] = []
    real = look_process.ask

    def note(
        request: dict[str, Any], host: str, port: int, limit_s: float, late: Lateness
    ) -> bytes:
        limits.append(limit_s)
        return real(request, host, port, limit_s, late)

    monkeypatch.setattr(look_process, "ask", note)
    with serving(PAGE) as (port, _):
        assert look(wanted(port, limit_s=60.0))["answer"] == "page"
    assert limits == [60.0, look_process.PAUSED_S]


def test_look_that_began_late_says_so() -> None:
    with serving(PAGE) as (port, _):
        said = look(wanted(port, asked_at=time.monotonic() - 8))
    assert said["late_s"] >= 7


def test_look_time_in_which_it_was_late_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped while it waited hears the answer all the same."""
    stopped: list[float] = []
    real = select.select

    def slow(reads: list[Any], writes: list[Any], more: list[Any], limit_s: float) -> Any:
        if reads and not stopped:
            stopped.append(1.0)
            time.sleep(0.8)
        return real(reads, writes, more, limit_s)

    monkeypatch.setattr(select, "select", slow)
    with serving(PAGE, after_s=0.6) as (port, _):
        said = look(wanted(port))
    assert said["answer"] == "page"
    assert said["late_s"] > 0.5


def test_late_short_waits_are_on_time() -> None:
    late = Lateness()
    for _ in range(3):
        late.note()
    assert late.seconds == 0


@pytest.mark.parametrize(
    ("response", "parsed"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nabc", (200, b"abc")),
        (
            b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            (503, b"abcde"),
        ),
    ],
)
def test_parse_returns_status_and_body(response: bytes, parsed: tuple[int, bytes]) -> None:
    assert parse(response) == parsed


@pytest.mark.parametrize("response", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1\r\n\r\n"])
def test_parse_no_http_is_an_error(response: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        parse(response)


def test_program_needs_the_standard_library_only() -> None:
    with serving(PAGE) as (port, _):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", look_process.__file__],
            input=json.dumps(wanted(port)).encode() + b"\n",
            capture_output=True,
            check=True,
        )
    assert json.loads(done.stdout)["answer"] == "page"


def named(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, Any]) -> None:
    found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_look_asks_each_address_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(PAGE) as (port, _):
        refuses, works = ("127.0.0.2", port), ("127.0.0.1", port)
        named(monkeypatch, (socket.AF_INET, refuses), (socket.AF_INET, works))
        assert look(wanted(port, host="localhost"))["answer"] == "page"
        named(monkeypatch, (NO_FAMILY, works), (socket.AF_INET, works))
        assert look(wanted(port, host="localhost"))["answer"] == "page"


def test_look_is_refused_only_where_nothing_of_this_host_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    refuses = (socket.AF_INET, ("127.0.0.2", port)), (socket.AF_INET, ("127.0.0.1", port))
    named(monkeypatch, *refuses)
    assert look(wanted(port, host="localhost"))["answer"] == "refused"
    named(monkeypatch, (NO_FAMILY, ("127.0.0.1", port)), *refuses)
    assert look(wanted(port, host="localhost"))["answer"] == "unknown"


class Connection:
    """A socket that begins to connect with one error number, and ends with another."""

    def __init__(self, begins: int, ends: int = 0) -> None:
        self.begins, self.ends = begins, ends
        self.over = 0
        """How often somebody wanted to know how it ended."""

    def setblocking(self, _: bool) -> None: ...

    def connect_ex(self, _: object) -> int:
        return self.begins

    def getsockopt(self, *_: int) -> int:
        self.over += 1
        return self.ends


def reach(connection: Connection, left_s: float) -> None:
    look_process._reach(connection, ("h", 1), lambda: left_s, Lateness())  # type: ignore[arg-type]


def test_reach_waits_until_it_is_known_whether_the_other_side_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a network a connection is refused only after a while; then the next address is tried."""
    connection = Connection(errno.EINPROGRESS)

    def wait(*_: object) -> tuple[list[Any], list[Any], list[Any]]:
        waited.append(1)
        if len(waited) == 1:
            return [], [], []
        connection.ends = errno.ECONNREFUSED
        return [], [connection], []

    waited: list[int] = []
    monkeypatch.setattr(select, "select", wait)
    with pytest.raises(ConnectionRefusedError):
        reach(connection, 1.0)
    assert (len(waited), connection.over) == (2, 1)


def test_reach_asks_nobody_once_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "select", lambda *_: pytest.fail("it looked"))
    with pytest.raises(TimeoutError):
        reach(Connection(errno.EINPROGRESS), 0.0)


def test_reach_takes_a_connection_that_is_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "select", lambda _, writes, *__: ([], writes, []))
    connection = Connection(0)
    reach(connection, 1.0)
    assert connection.over == 1
