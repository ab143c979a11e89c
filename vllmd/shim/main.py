"""The shim's life: read a specification, run the engine, see all of it gone, say how it ended."""

import contextlib
import os
import select
import signal
import socket
import time

from vllmd.shim import cgroup, proc, protocol
from vllmd.shim.folder import EngineFolder
from vllmd.shim.internal_errors import PAUSE_S, InternalErrors, complain
from vllmd.shim.output import Output
from vllmd.shim.protocol import ExitRecord, Message, RunRecord, Spec
from vllmd.shim.record import write_record
from vllmd.shim.requests import Requests
from vllmd.shim.server import ShimServer
from vllmd.shim.tree import EngineTree, become_subreaper

SPEC_TIMEOUT_S = 10.0
RETRY_S = 1.0
EXIT_NOTICE_TIMEOUT_S = 1.0
EXIT_TAIL_LINES = 100
MAX_WAIT_S = 3600.0
"""`poll` takes no time beyond 24 days; whatever is due later is looked at again."""


def main() -> int:
    """Run one engine to its end.

    Returns: 0, always: under systemd an exit code would make a failure of what was no failure,
        and a shim that got no specification (its unit was restarted) has nothing to do.
    """
    connection = _take_connection()
    line = _read_line(connection, SPEC_TIMEOUT_S)
    if line is None:
        complain("no specification came, nothing to do")
        return 0
    try:
        spec = protocol.parse_spec(line)
    except ValueError as error:
        _report(connection, {"error": protocol.ERROR_PROTOCOL, "message": str(error)})
        return 0
    folder = EngineFolder(spec["directory"])
    try:
        shim = Shim(spec, folder) if folder.lock() else None
    except (OSError, ValueError) as error:
        message = _sentence(error, spec["directory"])
        _report(connection, {"error": protocol.ERROR_SETUP, "message": message})
        return 0
    if shim is None:
        message = f"a shim already runs engine {spec['engine']!r} in {spec['directory']}"
        _report(connection, {"error": protocol.ERROR_RUNNING, "message": message})
        return 0
    problem = shim.spawn()
    if problem is not None:
        _report(connection, {"error": protocol.ERROR_SPAWN, "message": problem})
        return 0
    _report(connection, {"pid": os.getpid(), "engine_pid": shim.tree.pid})
    shim.run()
    folder.close()
    return 0


def _sentence(error: OSError | ValueError, what: str | None = None) -> str:
    """Say what went wrong with a file; a name that no file can have is a ValueError."""
    if isinstance(error, OSError) and error.strerror:
        place = error.filename or what
        return f"{error.strerror}: {place}" if place else error.strerror
    return f"{error}: {what}" if what else str(error)


def _take_connection() -> socket.socket:
    """Keep standard input as the connection to the daemon, and put /dev/null in its place."""
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    return connection


def _read_line(connection: socket.socket, timeout_s: float) -> bytes | None:
    """Read one complete line within the time; None if it does not come."""
    deadline = time.monotonic() + timeout_s
    data = b""
    while not data.endswith(b"\n") and len(data) <= protocol.MAX_SPEC_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        try:
            connection.settimeout(left)
            block = connection.recv(65536)
        except OSError:
            return None
        if not block:
            return None
        data += block
    return data if data.endswith(b"\n") else None


def _report(connection: socket.socket, message: Message) -> None:
    """Tell the daemon, if it still lives: it finds a running engine by its socket too."""
    with contextlib.suppress(OSError):
        connection.sendall(protocol.encode({"protocol": protocol.PROTOCOL, **message}))
    connection.close()


class Shim:
    """One engine, its output, its clients and its records."""

    tree: EngineTree

    def __init__(self, spec: Spec, folder: EngineFolder) -> None:
        """Prepare everything that can fail before the engine is spawned, in its locked folder.

        Raises: OSError: the log or the socket cannot be opened, or the kernel refuses.
        """
        self._spec = spec
        self._directory = spec["directory"]
        self._folder = folder
        self._stop_asked = False
        self._put_back_asked = False
        self._errors = InternalErrors()
        self._oom_kills = cgroup.oom_kills()
        become_subreaper()
        self._poll = select.poll()
        self._output = Output(spec, self._errors)
        requests = Requests(
            status=self._status,
            tail=self._output.tail,
            stop=self._stop,
            rotate=self._output.rotate,
            set_rotation=self._output.set_rotation,
            stop_grace_s=spec["stop_grace_s"],
        )
        self._server = ShimServer(
            f"{self._directory}/{protocol.SOCKET_NAME}",
            self._poll,
            requests.answer,
            self._errors,
        )
        self._wake_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, self._ask_put_back)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_stop)
        self._poll.register(self._wake_fd, select.POLLIN)
        self._reading = False
        self._output_ended = False
        self._boot_id = proc.boot_id()
        stat = proc.look_at(os.getpid())
        self._start_ticks = stat.start_ticks if stat else 0

    def spawn(self) -> str | None:
        """Start the engine and write down what runs. From here on nothing raises.

        Returns: None, or what was wrong with the program; its exit record is written then.
        """
        try:
            self.tree = EngineTree(self._spec, self._output.write_fd)
        except (OSError, ValueError) as error:
            problem = _sentence(error, self._spec["argv"][0])
            with contextlib.suppress(OSError):
                os.unlink(self._server.path)
            self._write(protocol.EXIT_RECORD_NAME, self._never_started(problem))
            return problem
        os.close(self._output.write_fd)
        self._run_record: RunRecord = {
            "protocol": protocol.PROTOCOL,
            "engine": self._spec["engine"],
            "run_id": self._spec["run_id"],
            "command_hash": self._spec["command_hash"],
            "boot_id": self._boot_id,
            "shim_pid": os.getpid(),
            "shim_start_ticks": self._start_ticks,
            "engine_pid": self.tree.pid,
            "engine_start_ticks": self.tree.start_ticks,
            "started_at": self.tree.started_at,
            "log": self._spec["log"],
            "log_offset": self._output.log_offset,
            "log_number": self._output.log_number,
        }
        self._write(protocol.RUN_RECORD_NAME, self._run_record)
        return None

    def run(self) -> None:
        """Serve until nothing of the engine is left, then record and announce its end.

        A mistake of the shim's own ends neither the engine nor the account of its end.
        """
        left = True
        while left:
            with self._errors.within("following the engine", pause_s=PAUSE_S):
                left = self._turn()
        with self._errors.within("reading the last output"):
            self._output.drain_all()
        with self._errors.within("closing the log"):
            self._output.close()
        record = self._exit_record()
        self._write(protocol.EXIT_RECORD_NAME, record)
        with self._errors.within("telling clients of the exit"):
            self._server.close({**record}, EXIT_NOTICE_TIMEOUT_S)

    def _turn(self) -> bool:
        """Do what is due, and wait for what comes; False once nothing of the engine is left."""
        if self._stop_asked:
            self.tree.stop(self._spec["stop_grace_s"])
        if self._put_back_asked:
            self._put_back_asked = False
            with self._errors.within("putting its folder back"):
                self._put_back()
        wait_s: float | None = RETRY_S
        with self._errors.within("looking for what is left"):
            wait_s = self.tree.sweep()
        if not self._run_record["engine_start_ticks"]:
            wait_s = self._note_start(wait_s)
        if wait_s == 0.0:
            return False
        wait_s = MAX_WAIT_S if wait_s is None else min(wait_s, MAX_WAIT_S)
        wait_s = min(wait_s, self._listen_to_output() or MAX_WAIT_S)
        for fd, events in self._poll.poll(wait_s * 1000):
            with self._errors.within("reading what came", pause_s=PAUSE_S):
                self._handle(fd, events)
        with self._errors.within("telling what changed"):
            self._server.tell_changes()
        return True

    def _note_start(self, wait_s: float | None) -> float | None:
        """Write down when the engine was started, once that can be read: it is known by it.

        Returns: in how many seconds the next turn is due at the latest, None if nothing is.
        """
        self.tree.look_when_started()
        if self.tree.start_ticks:
            self._run_record["engine_start_ticks"] = self.tree.start_ticks
            self._write(protocol.RUN_RECORD_NAME, self._run_record)
            return wait_s
        return RETRY_S if wait_s is None else min(wait_s, RETRY_S)

    def _listen_to_output(self) -> float:
        """Have the pipe reported, or not yet; return seconds until it is to be."""
        gather_s = 0.0 if self._output_ended else self._output.wait_s()
        wanted = not self._output_ended and gather_s == 0.0
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._poll.register(self._output.read_fd, select.POLLIN)
            else:
                self._poll.unregister(self._output.read_fd)
        return gather_s

    def _ask_stop(self, *_: object) -> None:
        self._stop_asked = True

    def _ask_put_back(self, *_: object) -> None:
        self._put_back_asked = True

    def _put_back(self) -> None:
        """Make again what somebody removed of the folder: by it a daemon finds the engine."""
        if not self._folder.put_back():
            complain(f"another shim runs in {self._directory}: this one cannot be found there")
            return
        self._write(protocol.RUN_RECORD_NAME, self._run_record)
        self._server.listen_again()

    def _handle(self, fd: int, events: int) -> None:
        if fd == self._wake_fd:
            os.read(self._wake_fd, 4096)
        elif fd == self._output.read_fd:
            self._output_ended = not self._output.drain()
        else:
            self._server.handle(fd, events)

    def _stop(self, grace_s: float) -> None:
        self.tree.stop(grace_s)

    def _status(self) -> Message:
        return {
            **self._run_record,
            "stopping": self.tree.stop_requested,
            "mistakes": self._errors.count,
            **self._output.status(),
        }

    def _exit_record(self) -> ExitRecord:
        output: Message = {}
        tail: list[str] = []
        with self._errors.within("counting the output"):
            output = self._output.status()
            tail = self._output.tail(EXIT_TAIL_LINES)
        return {
            "protocol": protocol.PROTOCOL,
            "engine": self._spec["engine"],
            "run_id": self._spec["run_id"],
            "engine_pid": self.tree.pid,
            "exit_code": self.tree.exit_code,
            "signal": self.tree.signal,
            "error": None,
            "requested": self.tree.stop_requested,
            "started_at": self.tree.started_at,
            "ended_at": time.time(),
            "killed": self.tree.killed,
            "log_lost_bytes": output.get("log_lost_bytes", 0),
            "log_dropped_lines": output.get("log_dropped_lines", 0),
            "tail": tail,
            "oom_kills": cgroup.killed_since(self._oom_kills),
        }

    def _never_started(self, problem: str) -> ExitRecord:
        now = time.time()
        return {
            "protocol": protocol.PROTOCOL,
            "engine": self._spec["engine"],
            "run_id": self._spec["run_id"],
            "engine_pid": 0,
            "exit_code": None,
            "signal": None,
            "error": problem,
            "requested": False,
            "started_at": now,
            "ended_at": now,
            "killed": [],
            "log_lost_bytes": 0,
            "tail": [],
        }

    def _write(self, name: str, record: object) -> None:
        """Write a record; a full disk must not stop an engine that serves."""
        try:
            write_record(f"{self._directory}/{name}", record)
        except OSError as error:
            complain(f"cannot write {name}: {error}")
