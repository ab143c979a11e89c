"""One browser for all tests of the page, and a server for each scene."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.axe import script
from tests.helpers.browser import Browser, browsing
from tests.helpers.clock import FakeClock
from tests.helpers.ports import free_port
from tests.helpers.status_scenes import Scene
from vllmd.collectors.runner import CollectorRunner
from vllmd.http import app
from vllmd.http.asgi_server import AsgiServer
from vllmd.http.metrics_page import MetricsPage


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


class Served:
    """The real application with what a scene knows, in a thread; it can be stopped and renewed."""

    def __init__(self, scene: Scene, port: int = 0) -> None:
        self.scene = scene
        status = scene.service()
        page = MetricsPage(CollectorRunner([], FakeClock()), lambda: [])
        self._app = app.build(lambda: scene.engines, page, status)
        self._listener = socket.create_server(("127.0.0.1", port or free_port()))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._server = AsgiServer(self._app)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(self._server.run_on(self._listener))

    def stop(self) -> None:
        """Serve no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._server.close)
            self._thread.join()
            self._loop.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Scene], Served]]:
    with contextlib.ExitStack() as stack:

        def begin(scene: Scene) -> Served:
            served = Served(scene)
            stack.callback(served.stop)
            return served

        yield begin


@pytest.fixture(scope="session")
def axe() -> str:
    return script()


@pytest.fixture(scope="session")
def pictures() -> Path:
    return Path(__file__).parents[2] / "build" / "page"
