"""Ways to start a shim: one interface, so that the supervisor does not know which it has."""

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

import vllmd.shim.__main__ as shim_program
from vllmd.errors import ShimError
from vllmd.shim import protocol
from vllmd.shim.files import open_to_append
from vllmd.shim.protocol import Spec
from vllmd.util.clock import SystemClock
from vllmd.util.loop_lag import LoopLag
from vllmd.util.within import run_within

REPORT_TIMEOUT_S = 30.0
QUEUE_S = 0.1
"""How often a connection to systemd is tried that it has no room for."""
ERROR_LOG_NAME = "shim.err"


class Spawner(Protocol):
    """Starts a shim and hands it its specification."""

    async def spawn(self, spec: Spec) -> None:
        """Start a shim; when this returns, its engine runs and its socket listens.

        Raises: ShimError: it could not be started; nothing of it is left.
        """
        ...

    def reap(self) -> None:
        """Collect shims that have ended; called when a child has."""
        ...


class DirectSpawner:
    """Start shims as processes of their own session, which outlive this daemon."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []

    async def spawn(self, spec: Spec) -> None:
        """Start a shim with a socket as its standard input.

        Raises: ShimError: it reported why it could not, or said nothing in time.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                error_log = os.path.join(spec["directory"], ERROR_LOG_NAME)
                with await run_within(error_log, lambda: open_to_append(error_log)) as errors:
                    child = self._start(theirs, errors)
        except OSError as error:
            ours.close()
            raise ShimError(f"cannot start a shim with {sys.executable}: {error}") from None
        self.reap()
        self._children.append(child)
        await send_spec(ours, spec)

    @staticmethod
    def _start(connection: socket.socket, errors: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(shim_program.__file__)],
            stdin=connection.fileno(),
            stdout=errors,
            stderr=errors,
            cwd="/",
            start_new_session=True,
        )

    def reap(self) -> None:
        """Collect shims that have ended, so that they do not stay as zombies."""
        self._children = [child for child in self._children if child.poll() is None]


class SocketSpawner:
    """Start shims by connecting to systemd's `vllmd-engine.socket` (`Accept=yes`).

    Every engine is then a unit of its own, with its own cgroup, which systemd kills whole when its
    shim dies, and which a restart of the daemon leaves alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def spawn(self, spec: Spec) -> None:
        """Connect, and hand the specification to the shim that systemd starts for it.

        Raises: ShimError: nobody listens, or the shim reported why it could not.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await self._connect(connection)
        except OSError as error:
            connection.close()
            raise ShimError(
                f"cannot connect to {self._path}: {error.strerror}; "
                "look at 'systemctl status vllmd-engine.socket'"
            ) from None
        except BaseException:
            connection.close()
            raise
        await send_spec(connection, spec)

    async def _connect(self, connection: socket.socket) -> None:
        """Connect, while the queue of those who wait to be accepted is full.

        asyncio takes such a socket for one that is connected. Source: connect(2), EAGAIN.

        Raises: OSError.
        """
        for _ in range(round(REPORT_TIMEOUT_S / QUEUE_S)):
            with contextlib.suppress(BlockingIOError):
                return connection.connect(str(self._path))
            await asyncio.sleep(QUEUE_S)
        raise OSError(errno.EAGAIN, f"systemd accepted nothing within {REPORT_TIMEOUT_S:g} s")

    def reap(self) -> None:
        """Do nothing: the shims are systemd's children."""


async def send_spec(connection: socket.socket, spec: Spec) -> None:
    """Hand a specification to a shim and wait for its report; the connection is closed.

    Raises: ShimError: with the shim's own words, or what came in their place.
    """
    reader, writer = await asyncio.open_connection(sock=connection)
    asking = asyncio.ensure_future(_ask(reader, writer, spec))
    try:
        # a report that came in time is taken, however late this daemon or its host is
        if not await LoopLag(SystemClock()).wait(asking, REPORT_TIMEOUT_S):
            raise TimeoutError(f"nothing came within {REPORT_TIMEOUT_S:g} s")
        line = asking.result()
        report = protocol.parse_message(line) if line else {"message": "ended without a report"}
    except (OSError, ValueError) as error:
        report = {"message": f"no report: {error!r}"}
    finally:
        asking.cancel()
        writer.close()
    if "engine_pid" not in report:
        raise ShimError(f"shim of engine {spec['engine']}: {report.get('message')}")


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spec: Spec) -> bytes:
    writer.write(protocol.encode(spec))
    await writer.drain()
    return await reader.readline()
