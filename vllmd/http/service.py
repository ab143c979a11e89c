"""The exporter's port: where it listens, who may see it; its web configuration, wired."""

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from vllmd.config.metrics import LastRead
from vllmd.config.model import DaemonConfig
from vllmd.config.urls import url_of
from vllmd.events.base import emit
from vllmd.events.daemon import ConfigWarned
from vllmd.http import address
from vllmd.http.access import Access
from vllmd.http.passwords import LoginCache, Passwords
from vllmd.http.web_file import WebFile
from vllmd.util.clock import Clock

_log = structlog.get_logger()


class WebSettings:
    """What [daemon] says of the exporter's port."""

    def __init__(self, daemon: DaemonConfig, clock: Clock) -> None:
        self._daemon = daemon
        self._clock = clock
        self._logins = LoginCache()
        self._file: WebFile | None = None
        self._socket: socket.socket | None = None
        self._access: ASGIApp | None = None
        self.configure(daemon)

    def configure(self, daemon: DaemonConfig) -> None:
        """Take over other settings, from the next request on; the address stays what it is."""
        before, self._daemon = self._daemon, daemon
        path = Path(daemon.web_config_file) if daemon.web_config_file else None
        if path is None or self._file is None or self._file.path != path:
            self._file = WebFile(path, self._clock) if path else None
        asked = "web_config_file", "open_readiness"
        if any(getattr(before, key) != getattr(daemon, key) for key in asked):
            self._access = None

    def listen(self, sockets: Mapping[str, socket.socket]) -> socket.socket:
        """Return the socket: the service manager's if it has one, whatever `listen` says.

        Raises: VllmdError: the address cannot be had.
        """
        held = sockets.get("exporter")
        if held is None:
            self._socket = address.bind(self._daemon.listen, "daemon.listen")
            return self._socket
        if problem := address.unused_listen(self._daemon.listen, held.getsockname()[:2]):
            emit(_log, ConfigWarned(problem=problem))
        self._socket = held.dup()
        return self._socket

    def guard(self, app: ASGIApp) -> ASGIApp:
        """Put what the web configuration asks of each request in front of an application."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if self._access is None:
                self._access = self._guard(app)
            await self._access(scope, receive, send)

        return guarded

    def _guard(self, app: ASGIApp) -> ASGIApp:
        if self._file is None:
            return app
        passwords = Passwords(self._clock, self._logins)
        open_readiness = self._daemon.open_readiness
        return Access(app, self._file, passwords, self._clock, open_readiness=open_readiness)

    def tls(self) -> ssl.SSLContext | None:
        """Return with what the next connection is to be taken; None for plain HTTP."""
        return self._file.context() if self._file else None

    def url(self) -> str:
        """Return where this host reaches the exporter."""
        url = url_of(*self._address())
        return url.replace("http:", "https:", 1) if self.tls() else url

    def problem(self) -> str | None:
        """Return why the web configuration could not be used when it was last read."""
        if self._file is None:
            return None
        self._file.current()
        return self._file.problem

    def last_read(self) -> LastRead | None:
        """Return whether the web configuration could be used; None if there is none."""
        if self._file is None:
            return None
        return self.problem() is None, self._file.succeeded_at

    def logins(self) -> Mapping[str, int] | None:
        """Return how many logins ended how; None if no web configuration asks for any."""
        if self._file is None:
            return None
        return {verdict.value: count for verdict, count in self._logins.all_counts().items()}

    def about(self) -> dict[str, Any]:
        """Return what `status` tells of it."""
        host, port = self._address()
        return {
            "listen": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "exporter": self.url(),
            "web_config": self._daemon.web_config_file,
            "web_config_problem": self.problem(),
        }

    def _address(self) -> tuple[str, int]:
        if self._socket is None or self._socket.fileno() < 0:
            return self._daemon.listen
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)
