"""HTTP/1.1 to engines: h11 over asyncio, and nothing between. It has no TLS: their URLs have none.

A transport of httpx, with the errors of its own. That one brings TLS with the certificates of all
authorities and two more libraries, and takes twice the CPU for an engine's page. Each request has a
connection of its own: vLLM closes one that it was not asked over for 5 s, which is about as often
as its page is read, and a request that it closes it under would look like an engine that does not
answer.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator

import h11
import httpx

from vllmd.util.units import KIB, MIB

MAX_HEAD_BYTES = 100 * KIB
MAX_WAITING_BYTES = MIB
"""What nobody has read yet; beyond it the engine has to wait."""
_Event = (
    h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage | h11.ConnectionClosed
)


class PlainTransport(httpx.AsyncBaseTransport):
    """Asks each request over a connection of its own. It keeps nothing.

    Time-outs are those of the request; there is none for writing, as bodies are small.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the head of its answer.

        Raises: httpx.TransportError: it could not be sent, or nothing that makes sense came.
        """
        timeouts = request.extensions.get("timeout", {})
        read_s = timeouts.get("read")
        connection = await _connect(
            request.url.host, request.url.port or 80, timeouts.get("connect")
        )
        try:
            await connection.send(request)
            head = await connection.head(read_s)
        except BaseException:
            connection.close()
            raise
        body = _Body(connection, read_s)
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)


class _Body(httpx.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, connection: "_Exchange", read_s: float | None) -> None:
        self._connection, self._read_s = connection, read_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not isinstance(event := await self._connection.event(self._read_s), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def aclose(self) -> None:
        self._connection.close()


class _Exchange(asyncio.Protocol):
    """One request, and the connection that it has for itself."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._wake: asyncio.Future[None] | None = None
        self._waiting_bytes = 0
        self._error: Exception | None = None
        self._over = self._paused = False

    # --- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES and self._transport and not self._paused:
            self._transport.pause_reading()
            self._paused = True
        self._woken()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            if error is None:
                self._http.receive_data(b"")
        self._woken()

    def _woken(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- what the transport calls ------------------------------------------------------------

    async def send(self, request: httpx.Request) -> None:
        """Write a request, and ask for the connection to be closed after its answer."""
        assert self._transport is not None
        headers = [(name, value) for name, value in request.headers.raw if name != b"Connection"]
        headers.append((b"Connection", b"close"))
        events: list[h11.Event] = [
            h11.Request(method=request.method, target=request.url.raw_path, headers=headers)
        ]
        assert isinstance(request.stream, httpx.AsyncByteStream)
        events += [h11.Data(data=block) async for block in request.stream]
        with _as_httpx():
            blocks = [self._http.send(event) for event in (*events, h11.EndOfMessage())]
        self._transport.write(b"".join(block for block in blocks if block))

    async def head(self, read_s: float | None) -> h11.Response:
        """Return the head of the answer.

        Raises: as `event`.
        """
        while not isinstance(event := await self.event(read_s), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return event

    async def event(self, read_s: float | None) -> _Event:
        """Return what comes next of an answer, within `read_s` seconds.

        Raises: httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError.
        """
        while True:
            with _as_httpx():
                event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]  # a server sends no h11.Request
            await self._more(read_s)

    async def _more(self, read_s: float | None) -> None:
        if self._error is not None:
            raise httpx.ReadError(str(self._error)) from self._error
        self._waiting_bytes = 0
        if self._paused and self._transport:
            self._transport.resume_reading()
            self._paused = False
        self._wake = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(read_s):
                await self._wake
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {read_s} s") from error
        finally:
            self._wake = None

    def close(self) -> None:
        """Close it at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()


async def _connect(host: str, port: int, connect_s: float | None) -> _Exchange:
    """Connect to the first address that answers.

    Raises: httpx.ConnectTimeout; httpx.ConnectError: its cause is the system's error, or a group of
        those of all addresses.
    """
    try:
        async with asyncio.timeout(connect_s):
            return await _connect_any(host, port)
    except TimeoutError as error:
        if error.errno is None:
            raise httpx.ConnectTimeout(f"no connection within {connect_s} s") from error
        raise httpx.ConnectError(str(error)) from error
    except (OSError, ExceptionGroup) as error:
        raise httpx.ConnectError(str(error)) from error


async def _connect_any(host: str, port: int) -> _Exchange:
    loop, errors = asyncio.get_running_loop(), []
    for address in await _addresses(host, port):
        try:
            _, connection = await loop.create_connection(_Exchange, address, port)
        except OSError as error:
            errors.append(error)
        else:
            return connection
    if len(errors) == 1:
        raise errors[0]
    raise ExceptionGroup("All connection attempts failed", errors)


async def _addresses(host: str, port: int) -> list[str]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [str(info[4][0]) for info in found]
    return [host]


@contextlib.contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise the errors of h11 as those of httpx."""
    try:
        yield
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
