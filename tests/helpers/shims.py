"""A shim without processes: a real socket, and an engine that ends when a test says so."""

import asyncio
import atexit
import contextlib
import subprocess
from pathlib import Path
from typing import Any

from vllmd.errors import ShimError
from vllmd.shim import proc, protocol
from vllmd.shim.protocol import ExitRecord, RunRecord, Spec
from vllmd.shim.record import read_record, write_record

_processes: list[subprocess.Popen[bytes]] = []


def process() -> subprocess.Popen[bytes]:
    """Return a process that stands for the shims of a test: signals to a shim reach it."""
    if not _processes or _processes[-1].poll() is not None:
        _processes.append(subprocess.Popen(["/bin/sleep", "infinity"], start_new_session=True))
        atexit.register(_processes[-1].kill)
    return _processes[-1]


def end_processes() -> None:
    """End them, for a test that wants no other children; the next shim gets another."""
    while _processes:
        ended = _processes.pop()
        atexit.unregister(ended.kill)
        ended.kill()
        ended.wait()


class FakeShim:
    def __init__(self, spec: Spec, engine_pid: int = 4_000_000) -> None:
        self.spec = spec
        self.directory = Path(spec["directory"])
        self.stops: list[float] = []
        self.exits_when_stopped = True
        self.refuses = False
        self.is_silent = False
        """Whether it takes connections and answers nothing."""
        self.closes = False
        """Whether it closes each connection at once."""
        self.is_listening = False
        self.watched = 0
        """How many watch it now."""
        self._watchers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.process = process()
        self.pid = self.process.pid
        stat = proc.read_stat(self.pid)
        assert stat is not None
        self.run: RunRecord = {
            "protocol": 1,
            "engine": spec["engine"],
            "run_id": spec["run_id"],
            "command_hash": spec["command_hash"],
            "boot_id": proc.boot_id(),
            "shim_pid": self.pid,
            "shim_start_ticks": stat.start_ticks,
            "engine_pid": engine_pid,
            "engine_start_ticks": 1,
            "started_at": 1_001_000.0,
            "log": spec["log"],
            "log_offset": 0,
        }

    async def listen(self) -> None:
        write_record(str(self.directory / protocol.RUN_RECORD_NAME), self.run)
        path = self.directory / protocol.SOCKET_NAME
        self._server = await asyncio.start_unix_server(self._serve, str(path))
        self.is_listening = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio.streams logs a handler that is cancelled with its loop, or whose peer has gone
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await self._answer(reader, writer)
            if self.closes:
                writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watches = 0
        while not self.closes and (line := await reader.readline()):
            if self.is_silent:
                continue
            request = protocol.parse_message(line)
            if request["op"] == "watch":
                watches += 1
                self.watched += 1
                self._watchers.append(writer)
                writer.write(protocol.encode(self.run))
            elif self.refuses:
                writer.write(protocol.encode({"error": "not now"}))
            elif request["op"] == "stop":
                self.stops.append(request["grace_s"])
                writer.write(protocol.encode({"ok": True}))
                if self.exits_when_stopped:
                    task = asyncio.create_task(self.end(0, requested=True))
                    self._tasks.add(task)
        self.watched -= watches

    async def end(self, code: int | None, *, requested: bool = False, **more: Any) -> None:
        record: ExitRecord = {
            "protocol": 1,
            "engine": self.spec["engine"],
            "run_id": self.spec["run_id"],
            "engine_pid": self.run["engine_pid"],
            "exit_code": code,
            "signal": None,
            "error": None,
            "requested": requested,
            "started_at": 1.0,
            "ended_at": 2.0,
            "killed": [],
            "log_lost_bytes": 0,
            "tail": ["last line"],
        }
        record.update(more)  # type: ignore[typeddict-item]
        write_record(str(self.directory / protocol.EXIT_RECORD_NAME), record)
        for writer in self._watchers:
            writer.write(protocol.encode(record))
        self.vanish()

    async def is_detached(self) -> bool:
        """Tell whether nobody watches it any more; the sockets get a second for that."""
        for _ in range(200):
            if self.watched == 0:
                return True
            await asyncio.sleep(0.005)
        return False

    def hang_up(self) -> None:
        """Close the connections of its watchers, and live on."""
        watchers, self._watchers = self._watchers, []
        for writer in watchers:
            writer.close()

    def vanish(self) -> None:
        """Close everything without a word, as a shim that was killed."""
        path = str(self.directory / protocol.RUN_RECORD_NAME)
        if (record := read_record(path)) is not None:  # so that this process is not taken for it
            write_record(path, {**record, "shim_start_ticks": 1})
        (self.directory / protocol.SOCKET_NAME).unlink(missing_ok=True)
        self._server.close()
        self.is_listening = False
        for writer in self._watchers:
            writer.close()


class FakeSpawner:
    def __init__(self) -> None:
        self.shims: list[FakeShim] = []
        self.error: str | None = None
        self.ends_at_once: int | None = None
        """The exit code of the next one, which is gone before anybody can look at it."""

    async def spawn(self, spec: Spec) -> None:
        if self.error:
            raise ShimError(self.error)
        shim = FakeShim(spec)
        await shim.listen()
        self.shims.append(shim)
        if self.ends_at_once is not None:
            code, self.ends_at_once = self.ends_at_once, None
            await shim.end(code)

    def reap(self) -> None:
        """Have nothing to collect."""

    @property
    def last(self) -> FakeShim:
        return self.shims[-1]
