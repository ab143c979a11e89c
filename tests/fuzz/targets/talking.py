"""A server in this process that is sent bytes: it answers or closes, and nothing breaks."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

ANSWER_S = 5.0
"""Of the wall clock: what a server takes at most for what was sent whole."""


class BrokeError(Exception):
    """Something in the server was raised that nobody there takes."""


class _Mistakes(logging.Handler):
    """Keeps what a server logs of its own mistakes, also while logging is disabled."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Talk:
    """An event loop with a server on a Unix socket; `serve` makes it on a listening socket."""

    def __init__(self, serve: Callable[[socket.socket], Awaitable[Any]]) -> None:
        self._serve = serve
        self._runner = asyncio.Runner()
        self._address: Any = None
        self._mistakes: list[str] = []
        self._kept: Any = None

    def __call__(self, data: bytes) -> bytes:
        """Send bytes on a new connection, end it, and return what came. Raises: BrokeError."""
        if self._address is None:
            self._runner.run(self._begin())
        logging.disable(logging.NOTSET)
        try:
            came = self._runner.run(self._say(data))
        finally:
            logging.disable(logging.CRITICAL)
        if self._mistakes:
            said, self._mistakes[:] = "\n".join(self._mistakes), []
            raise BrokeError(said)
        return came

    async def _begin(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self._address = listening.getsockname()
        self._kept = await self._serve(listening)
        handler = _Mistakes()
        handler.found = self._mistakes
        log = logging.getLogger("uvicorn.error")
        log.addHandler(handler)
        log.propagate = False
        asyncio.get_running_loop().set_exception_handler(self._raised)

    def _raised(self, _: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        self._mistakes.append(f"{about.get('message')}: {about.get('exception')!r}")

    async def _say(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._address)
        came = b""
        try:
            async with asyncio.timeout(ANSWER_S):
                writer.write(data)
                writer.write_eof()
                came = await reader.read(-1)
        except ConnectionError:
            pass  # it was reset, which is an answer too
        except TimeoutError:
            raise BrokeError(f"no end within {ANSWER_S:g} s") from None
        finally:
            writer.close()
        return came
