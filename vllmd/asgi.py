"""uvicorn inside a daemon that has its own signals and does not like to be woken."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

SHUTDOWN_S = 3
SETTLE_S = 0.1


class Server(uvicorn.Server):
    """A server on sockets that are already bound.

    uvicorn wakes ten times a second to see whether it should stop, and takes the process's
    signals; here it waits for an event, and leaves them alone.
    """

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        settings: dict[str, Any] = {
            "http": "h11",
            "ws": "none",
            "loop": "none",
            "lifespan": "off",
            "log_config": None,
            "access_log": False,
            "server_header": False,
            "date_header": False,
            "proxy_headers": False,
            "timeout_graceful_shutdown": SHUTDOWN_S,
        }
        super().__init__(uvicorn.Config(app, **{**settings, **options}))
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signals."""
        yield

    async def main_loop(self) -> None:
        """Wait until it should end."""
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, give what was just accepted the time to send its request, then end.

        Without it, a scrape that connected a moment before a restart would be cut.
        """
        for server in self.servers:
            server.close()
        await asyncio.sleep(SETTLE_S)
        await super().shutdown(sockets)

    async def run_on(self, *sockets: socket.socket) -> None:
        """Serve on the sockets until `close`."""
        await self.serve(sockets=list(sockets))

    def close(self) -> None:
        """Let `run_on` finish what is running and return."""
        self.should_exit = True
        self._stop.set()


class Served:
    """A server that can be begun again on its socket, should it fail."""

    def __init__(self, make: Callable[[], Server], listener: socket.socket) -> None:
        """Take over a socket that is bound; `close` closes it."""
        self._make = make
        self._listener = listener
        self._server: Server | None = None
        self._closed = False

    async def run(self) -> None:
        """Serve until `close`.

        Raises: RuntimeError: the server ended by itself.
        """
        if self._closed:
            return
        self._server = self._make()
        await self._server.run_on(self._listener.dup())  # the server closes what it gets
        if not self._closed:
            raise RuntimeError("the server ended, although nobody had closed it")

    def close(self) -> None:
        """Accept no more, and let `run` finish what is running and return."""
        self._closed = True
        self._listener.close()
        if self._server is not None:
            self._server.close()


class Background:
    """A server that runs beside whoever started it."""

    def __init__(self, app: ASGIApp) -> None:
        self._server = Server(app)
        self._task: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on a socket from now on."""
        self._task = asyncio.create_task(self._server.run_on(listener))

    async def close(self) -> None:
        """End, once what runs has ended."""
        self._server.close()
        if self._task is not None:
            await self._task
