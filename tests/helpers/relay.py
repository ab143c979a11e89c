"""A TCP port whose connections are handed on to a Unix socket, for clients that know no other."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 65536


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _serve(client: socket.socket, path: Path) -> None:
    with client, socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(path))
        except OSError:
            return
        back = threading.Thread(target=_hand_on, args=(asked, client), daemon=True)
        back.start()
        _hand_on(client, asked)
        back.join()


@contextlib.contextmanager
def relay(path: Path) -> Iterator[str]:
    """Yield the URL under which the socket at `path` is reached; it ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_serve, args=(client, path), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    accepting.join()
