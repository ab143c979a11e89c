"""The daemon's end of a shim's socket."""

import asyncio
from pathlib import Path
from typing import cast

from vllmd.errors import ShimError
from vllmd.shim import proc, protocol
from vllmd.shim.protocol import ExitRecord, Message, RunRecord
from vllmd.util.clock import SystemClock
from vllmd.util.loop_lag import LoopLag

CONNECT_TIMEOUT_S = 5.0
DISK_SLEEP = "D"
"""The state of a process that waits for a disk. Source: proc(5)."""
TRIES = 6
ANSWER_TIMEOUT_S = 5.0
_LINE_LIMIT = 8 * 1024 * 1024


class ShimClient:
    """A watch on one shim: knows what runs, asks it to stop, learns how it ended.

    `exited` is done when the engine is gone; its result is the exit record, or None if the shim
    itself went away without a word.
    """

    def __init__(self, path: Path, run: RunRecord, reader: asyncio.StreamReader) -> None:
        self.run = run
        self._path = path
        self.exited: asyncio.Task[ExitRecord | None] = asyncio.create_task(_watch(reader))
        self._writer: asyncio.StreamWriter | None = None

    @classmethod
    async def connect(cls, directory: Path, lag: LoopLag | None = None) -> "ShimClient | None":
        """Find the shim of an engine's directory; what is waited counts as far as it was watched.

        Returns: None if nobody listens there.
        Raises: ShimError: somebody listens and does not answer as a shim does.
        """
        path = directory / protocol.SOCKET_NAME
        opening = asyncio.ensure_future(_open(path))
        try:
            if not await (lag or LoopLag(SystemClock())).wait(opening, CONNECT_TIMEOUT_S):
                raise TimeoutError(f"no answer within {CONNECT_TIMEOUT_S:g} s")
            reader, writer, line = opening.result()
        except (FileNotFoundError, ConnectionError):
            return None
        except (OSError, ValueError) as error:
            raise ShimError(f"shim at {path} does not answer: {error!r}") from None
        finally:
            opening.cancel()
        if not line:
            return None
        run = _parse(line, path)
        if not RunRecord.__required_keys__ <= run.keys():
            writer.close()
            raise ShimError(f"shim at {path} cannot be watched: {run.get('error', run)}")
        client = cls(path, cast(RunRecord, run), reader)
        client._writer = writer
        return client

    async def stop(self, grace_s: float) -> None:
        """Ask the shim to end its engine; one that waits for a disk is asked again.

        Raises: ShimError: it does not answer.
        """
        for attempt in range(TRIES):
            try:
                await self.ask({"op": "stop", "grace_s": grace_s})
            except ShimError:
                stat = proc.read_stat(self.run["shim_pid"])
                on_disk = stat is not None and stat.state == DISK_SLEEP
                if not on_disk or attempt == TRIES - 1:
                    raise
            else:
                return

    async def ask(self, request: Message) -> Message:
        """Send one request on a connection of its own.

        Raises: ShimError: nobody answers in time, or the answer is an error.
        """
        return await ask(self._path, request)

    def close(self) -> None:
        """Let go of the shim; it and its engine live on."""
        self.exited.cancel()
        if self._writer is not None:
            self._writer.close()


async def _open(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Begin to watch a shim; returns the first line that it says, too."""
    reader, writer = await asyncio.open_unix_connection(str(path), limit=_LINE_LIMIT)
    try:
        writer.write(protocol.encode({"op": "watch"}))
        return reader, writer, await reader.readline()
    except asyncio.CancelledError:
        writer.close()
        raise


class Conversation:
    """One connection to a shim: requests, each with its answer, one after the other."""

    def __init__(
        self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._path = path
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, path: Path) -> "Conversation":
        """Connect to the shim that listens on a socket.

        Raises: ShimError: nobody does, or not in time.
        """
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                streams = await asyncio.open_unix_connection(str(path), limit=_LINE_LIMIT)
        except (OSError, ValueError) as error:
            raise ShimError(f"shim at {path} does not answer: {error!r}") from None
        return cls(path, *streams)

    async def ask(self, request: Message, *, timeout_s: float | None = ANSWER_TIMEOUT_S) -> Message:
        """Send a request; without `timeout_s` the answer may take as long as it takes.

        Raises: ShimError: nobody answers in time, or the answer is an error.
        """
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(protocol.encode(request))
                line = await self._reader.readline()
        except (OSError, ValueError) as error:
            raise ShimError(f"shim at {self._path} does not answer: {error!r}") from None
        answer = _parse(line, self._path)
        if "error" in answer:
            raise ShimError(f"shim at {self._path} refused {request['op']}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Let go of the connection."""
        self._writer.close()


async def ask(path: Path, request: Message) -> Message:
    """Send one request to the shim that listens on a socket.

    Raises: ShimError: nobody answers in time, or the answer is an error.
    """
    talk = await Conversation.open(path)
    try:
        return await talk.ask(request)
    finally:
        talk.close()


def _parse(line: bytes, path: Path) -> Message:
    try:
        return protocol.parse_message(line)
    except ValueError as error:
        raise ShimError(f"shim at {path} answered {line[:80]!r}: {error}") from None


async def _watch(reader: asyncio.StreamReader) -> ExitRecord | None:
    try:
        line = await reader.readline()
        return cast(ExitRecord, protocol.parse_message(line)) if line else None
    except (OSError, ValueError):
        return None
