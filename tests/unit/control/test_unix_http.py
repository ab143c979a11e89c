import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vllmd.control.unix_http import MAX_HEADERS, MAX_LINE_BYTES, UnixConnection

HEADERS = b"".join(b"x%d: y\r\n" % number for number in range(200))


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[list[bytes]]:
    """Answer one request on one connection after another; gives what was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length:3\r\nX: y\r\n\r\nabc", 404, b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nall to its end", 200, b"all to its end"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\n\r\n",
            200,
            b"abc0123456789",
        ),
    ],
)
def test_ask_returns_status_and_body(
    answer: bytes, status: int, body: bytes, tmp_path: Path
) -> None:
    with answering(tmp_path / "c", answer):
        connection = UnixConnection(str(tmp_path / "c"))
        assert connection.ask("GET", "/v1/status") == (status, body)
        connection.close()


def test_ask_says_how_long_a_body_is_and_uses_its_connection_again(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    with answering(tmp_path / "c", answer, answer, last) as asked:
        connection = UnixConnection(str(tmp_path / "c"))
        assert not connection.is_open
        connection.ask("GET", "/a?b=c")
        assert connection.is_open
        connection.ask("POST", "/a")
        connection.ask("POST", "/a", b'{"x": 1}')
        assert not connection.is_open
    assert asked == [
        b"GET /a?b=c HTTP/1.1\r\nHost: vllmd\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: vllmd\r\nContent-Length: 0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: vllmd\r\nContent-Length: 8\r\n"
        b'Content-Type: application/json\r\n\r\n{"x": 1}',
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "no answer came"),
        (b"SSH-2.0-x\r\n", "no HTTP: 'SSH-2.0-x'"),
        (b"HTTP/1.1 ok\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "ended after 3 of 5 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc", "no length: '-5'"),
        (b"HTTP/1.1 200 OK\r\nX", "ended too soon"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * (MAX_LINE_BYTES + 1), "ended too soon"),
        (
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(200)),
            f"{MAX_HEADERS}",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "no size of a chunk: 'x'"),
    ],
)
def test_ask_what_is_no_answer_is_an_error_of_the_connection(
    answer: bytes, said: str, tmp_path: Path
) -> None:
    with answering(tmp_path / "c", answer):
        connection = UnixConnection(str(tmp_path / "c"))
        with pytest.raises(ConnectionError, match=said):
            connection.ask("GET", "/v1/status")
        connection.close()
        assert not connection.is_open
