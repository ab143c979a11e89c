"""The shim's socket: a handful of clients, each asking in lines of JSON.

Nothing that a client sends or leaves undone may end the shim, fill its memory, or keep others out:
a client is read from only while it takes its answers, a line without an end is passed over, and
of the idle ones the longest gives way to a new one.
"""

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable

from vllmd.shim import protocol
from vllmd.shim.internal_errors import InternalErrors
from vllmd.shim.protocol import Message

MAX_CLIENTS = 16
MAX_WATCHERS = 12
"""A watcher never gives way: its daemon would take that for the end of the engine."""
MAX_PENDING_BYTES = 1024 * 1024
"""What all clients together have not read yet; then the one that has most of it is given up."""
BACKLOG = 128
MAX_ANSWERS = 100
"""Requests of one client at once; then it is the turn of the engine's output."""


class ShimConnection:
    """One connection: what it has sent, what it still has to be told, whether it watches."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = bytearray()
        self.pending = b""
        self.watching = False
        self.passing_over = False
        """Whether the rest of a line that is too long is still to come."""
        self.used_at = time.monotonic()
        self.told: Message | None = None
        """The last status that it was told."""
        self.waits = False
        """Whether it is to be told once the status is another one."""

    def flush(self) -> bool:
        """Send what can be sent without waiting.

        Returns: False if the client is gone.
        """
        try:
            while self.pending:
                self.pending = self.pending[self.connection.send(self.pending) :]
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def next_line(self) -> bytes | None:
        """Take the next whole line off what was received, at most `MAX_REQUEST_BYTES` of it.

        Returns: the line, None if none is complete. One that is too long comes as far as it has
            come, and what follows of it is passed over.
        """
        end = self.received.find(b"\n")
        if self.passing_over:
            del self.received[: end + 1 if end >= 0 else len(self.received)]
            self.passing_over = end < 0
            end = self.received.find(b"\n")
        if end < 0 and len(self.received) <= protocol.MAX_REQUEST_BYTES:
            return None
        self.passing_over = end < 0
        line = bytes(self.received[:end] if end >= 0 else self.received)
        del self.received[: len(line) + 1]
        return line


class ShimServer:
    """All clients; `answer` turns a request into the message to send back."""

    def __init__(
        self,
        path: str,
        poll: select.poll,
        answer: Callable[[Message], Message],
        errors: InternalErrors,
    ) -> None:
        """Listen on `path`, in place of what an earlier shim left there.

        Raises: OSError: the path cannot be bound.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.path = path
        self._poll = poll
        self._answer = answer
        self._errors = errors
        self._clients: dict[int, ShimConnection] = {}
        self._listener = self._listen()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.path)
        os.chmod(self.path, 0o600)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._poll.register(listener.fileno(), select.POLLIN)
        return listener

    def listen_again(self) -> None:
        """Make the socket again if somebody removed it; who is connected stays so.

        Raises: OSError: the path cannot be bound.
        """
        if not os.path.exists(self.path):
            before, self._listener = self._listener, self._listen()
            self._poll.unregister(before.fileno())
            before.close()

    def handle(self, fd: int, events: int) -> None:
        """Take care of what `poll` reported, if it is about one of our sockets."""
        if fd == self._listener.fileno():
            self._accept()
            return
        client = self._clients.get(fd)
        if client is None:
            return
        alive = False
        with self._errors.within("serving a client"):
            alive = self._serve(client, events)
        self._settle(client, alive)

    def _serve(self, client: ShimConnection, events: int) -> bool:
        """Do what can be done for a client; False if it is gone."""
        if client.pending:
            alive = client.flush()
            if not alive or client.pending:
                return alive
        if b"\n" in client.received:
            return self._reply(client)
        return self._receive(client) if events & ~select.POLLOUT else True

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= MAX_CLIENTS:
            idle = [client for client in self._clients.values() if not client.watching]
            self._settle(min(idle, key=lambda client: client.used_at), alive=False)
        connection.setblocking(False)
        self._clients[connection.fileno()] = ShimConnection(connection)
        self._poll.register(connection.fileno(), select.POLLIN)

    def _receive(self, client: ShimConnection) -> bool:
        try:
            block = client.connection.recv(protocol.MAX_REQUEST_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not block:
            return False
        client.received += block
        client.used_at = time.monotonic()
        return self._reply(client)

    def _reply(self, client: ShimConnection) -> bool:
        """Answer what came, as far as the client takes it; the rest once it has."""
        for _ in range(MAX_ANSWERS):
            line = client.next_line()
            if line is None:
                break
            client.pending += self._answer_line(client, line)
            if len(client.pending) >= protocol.MAX_REQUEST_BYTES:
                break
        return client.flush()

    def _answer_line(self, client: ShimConnection, line: bytes) -> bytes:
        """Return one line for one line, whatever it is; none yet to who waits for a change."""
        try:
            answer = self._answer_request(client, line)
            return b"" if answer is None else protocol.encode(answer)
        except Exception as error:  # noqa: BLE001 - isolates the engine from who asks
            self._errors.note("answering", error)
            return protocol.encode({"error": f"the shim failed at it: {type(error).__name__}"})

    def _answer_request(self, client: ShimConnection, line: bytes) -> Message | None:
        if len(line) > protocol.MAX_REQUEST_BYTES:
            return {"error": f"not a request: a line longer than {protocol.MAX_REQUEST_BYTES}"}
        try:
            request = protocol.parse_message(line)
        except ValueError as error:
            return {"error": f"not a request: {error}"}
        if request.get("op") == "status":
            return self._answer_status(client, once_changed=request.get("once_changed") is True)
        if request.get("op") != "watch":
            return self._answer(request)
        others = [each for each in self._clients.values() if each.watching and each is not client]
        if len(others) >= MAX_WATCHERS:
            return {"error": f"{len(others)} clients watch already"}
        answer = self._answer({**request, "op": "status"})
        client.watching = True
        return answer

    def _answer_status(self, client: ShimConnection, *, once_changed: bool) -> Message | None:
        """Return the status; None if the client wants another than it knows, and there is none."""
        status = self._answer({"op": "status"})
        client.waits = once_changed and status == client.told
        client.told = status
        return None if client.waits else status

    def tell_changes(self) -> None:
        """Tell those who wait for another status, if there is one."""
        for client in [each for each in self._clients.values() if each.waits]:
            status = self._answer_status(client, once_changed=True)
            if status is not None:
                client.pending += protocol.encode(status)
                self._settle(client, client.flush())

    def _settle(self, client: ShimConnection, alive: bool) -> None:
        """Wait for what can be done next with a client: it takes its answers, or asks more."""
        fd = client.connection.fileno()
        if alive:
            more = client.pending or b"\n" in client.received
            self._poll.modify(fd, select.POLLOUT if more else select.POLLIN)
            if sum(len(each.pending) for each in self._clients.values()) <= MAX_PENDING_BYTES:
                return
            client = max(self._clients.values(), key=lambda each: len(each.pending))
            fd = client.connection.fileno()
        self._poll.unregister(fd)
        del self._clients[fd]
        client.connection.close()

    def close(self, last_message: Message, timeout_s: float) -> None:
        """Tell every watcher how it ended, then stop listening.

        New clients are refused from here on, so that whoever asks next reads the exit record.
        Those that do not read get `timeout_s` together.
        """
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self._listener.close()
        last = protocol.encode(last_message)
        until = time.monotonic() + timeout_s
        for client in sorted(self._clients.values(), key=lambda client: bool(client.pending)):
            if client.watching:
                client.pending += last
            with contextlib.suppress(OSError):
                client.connection.settimeout(max(0.01, until - time.monotonic()))
                client.connection.sendall(client.pending)
            client.connection.close()
