"""A control socket with engines that only remember what they were asked."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.helpers.make import status
from vllmd import asgi
from vllmd.control import server
from vllmd.engine.status import EngineStatus


class FakeEngine:
    def __init__(self, name: str = "chat", **more: Any) -> None:
        self.status: EngineStatus = status(name, **more)
        self.asked: list[str] = []
        self.error: OSError | None = None

    def _ask(self, action: str) -> None:
        self.asked.append(action)
        if self.error:
            raise self.error

    def start(self) -> None:
        self._ask("start")

    def stop(self) -> None:
        self._ask("stop")

    def restart(self) -> None:
        self._ask("restart")


@contextmanager
def control_socket(path: Path, *engines: FakeEngine) -> Iterator[Path]:
    """Serve in a thread, so that a test can use the blocking client."""
    about = {"version": "1", "pid": 1, "started_at": 0.0, "config": None, "problem": None}
    app = server.build({e.status.name: e for e in engines}, lambda: about)
    listener = server.listen(path)
    running = threading.Event()
    loop = asyncio.new_event_loop()
    uvicorn = asgi.Server(app, http=server.PeerProtocol)

    async def serve() -> None:
        running.set()
        await uvicorn.run_on(listener)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    running.wait()
    try:
        yield path
    finally:
        loop.call_soon_threadsafe(uvicorn.close)
        thread.join(10)
        loop.close()
