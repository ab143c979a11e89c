"""The daemon's two servers: of the exporter's port, and of the control socket."""

import functools
import socket
from collections.abc import Iterator
from pathlib import Path

from starlette.types import ASGIApp

from vllmd.control import server as control
from vllmd.control.socket_file import keep_there
from vllmd.daemon.environment import Environment
from vllmd.http import asgi_server
from vllmd.http.listener import Tls
from vllmd.util.clock import Clock
from vllmd.util.parts import Part


class Servers:
    """Both, each begun again should it fail."""

    def __init__(
        self,
        environment: Environment,
        *,
        exporter_socket: socket.socket,
        exporter_app: ASGIApp,
        tls: Tls,
        control_path: Path,
        control_app: ASGIApp,
    ) -> None:
        """Take over the exporter's socket, and make the control socket; nothing is served yet.

        Raises: OSError: the control socket cannot be made.
        """
        totals, parts = environment.totals, environment.parts
        server = functools.partial(asgi_server.bounded, totals, parts.isolated)
        self._control_path = control_path
        self._exporter = asgi_server.RestartableServer(
            lambda: server("exporter", exporter_app, tls=tls), exporter_socket
        )
        self._control = asgi_server.RestartableServer(
            lambda: server("control", control_app, protocol=control.PeerProtocol),
            control.listen(control_path),
        )

    def parts(self) -> Iterator[Part]:
        """Yield what serves until `close`."""
        yield Part("exporter", self._exporter.run, may_end=True)
        yield Part("control", self._control.run, may_end=True)

    def kept_there(self, clock: Clock) -> Part:
        """Return what makes the control socket again if somebody removes it."""
        return Part(
            "control_socket", lambda: keep_there(self._control_path, self._control.renew, clock)
        )

    def close(self) -> None:
        """Accept no more, and finish what is running."""
        self._exporter.close()
        self._control.close()
