"""The shim's socket: a handful of clients, each asking in lines of JSON."""

import contextlib
import os
import select
import socket
from collections.abc import Callable

from vllmd.shim import protocol
from vllmd.shim.protocol import Message

MAX_CLIENTS = 16
MAX_PENDING_BYTES = 4 * 1024 * 1024


class Client:
    """One connection: what it has sent, what it still has to be told, whether it watches."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""
        self.pending = b""
        self.watching = False

    def flush(self) -> bool:
        """Send what can be sent without waiting.

        Returns: False if the client is gone, or so slow that it is given up.
        """
        try:
            while self.pending:
                self.pending = self.pending[self.connection.send(self.pending) :]
        except BlockingIOError:
            return len(self.pending) <= MAX_PENDING_BYTES
        except OSError:
            return False
        return True


class Server:
    """All clients; `answer` turns a request into the message to send back."""

    def __init__(self, path: str, poll: select.poll, answer: Callable[[Message], Message]):
        """Listen on `path`, in place of what an earlier shim left there.

        Raises: OSError: the path cannot be bound.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.path = path
        self._poll = poll
        self._answer = answer
        self._clients: dict[int, Client] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(MAX_CLIENTS)
        self._listener.setblocking(False)
        poll.register(self._listener.fileno(), select.POLLIN)

    def handle(self, fd: int, events: int) -> None:
        """Take care of what `poll` reported, if it is about one of our sockets."""
        if fd == self._listener.fileno():
            self._accept()
            return
        client = self._clients.get(fd)
        if client is None:
            return
        alive = True
        if events & select.POLLOUT:
            alive = client.flush()
        if alive and events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            alive = self._receive(client)
        self._settle(client, alive)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        self._clients[connection.fileno()] = Client(connection)
        self._poll.register(connection.fileno(), select.POLLIN)

    def _receive(self, client: Client) -> bool:
        try:
            block = client.connection.recv(protocol.MAX_REQUEST_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not block:
            return False
        client.received += block
        while b"\n" in client.received:
            line, _, client.received = client.received.partition(b"\n")
            client.pending += protocol.encode(self._reply(client, line))
        return len(client.received) <= protocol.MAX_REQUEST_BYTES and client.flush()

    def _reply(self, client: Client, line: bytes) -> Message:
        try:
            request = protocol.parse_message(line)
        except ValueError as error:
            return {"error": f"not a request: {error}"}
        if request.get("op") == "watch":
            client.watching = True
            request = {**request, "op": "status"}
        return self._answer(request)

    def _settle(self, client: Client, alive: bool) -> None:
        fd = client.connection.fileno()
        if alive:
            self._poll.modify(fd, select.POLLIN | (select.POLLOUT if client.pending else 0))
            return
        self._poll.unregister(fd)
        del self._clients[fd]
        client.connection.close()

    def close(self, farewell: Message, timeout_s: float) -> None:
        """Tell every watcher how it ended, then stop listening.

        New clients are refused from here on, so that whoever asks next reads the exit record.
        """
        os.unlink(self.path)
        self._listener.close()
        for client in self._clients.values():
            if client.watching:
                client.pending += protocol.encode(farewell)
            client.connection.settimeout(timeout_s)
            with contextlib.suppress(OSError):
                client.connection.sendall(client.pending)
            client.connection.close()
