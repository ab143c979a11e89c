"""The daemon: the only place where the parts are wired together."""

import asyncio
import fcntl
import functools
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import structlog

import vllmd
from vllmd import asgi, events
from vllmd.clock import Clock, SystemClock
from vllmd.collectors.base import Collector
from vllmd.collectors.build import BuildCollector
from vllmd.collectors.engines import EnginesCollector, UsageCollector
from vllmd.collectors.pages import PagesCollector
from vllmd.collectors.process import OwnProcessCollector
from vllmd.collectors.runner import Runner
from vllmd.config import command, paths
from vllmd.config.model import Config, Engine
from vllmd.control import server as control
from vllmd.engine.desired import StoppedEngines
from vllmd.engine.probes.health import answers
from vllmd.engine.probes.port import owned_by_tree
from vllmd.engine.spawner import DirectSpawner
from vllmd.engine.state import State
from vllmd.engine.status import EngineStatus
from vllmd.engine.supervisor import Supervisor
from vllmd.engine.watch import Probes
from vllmd.errors import DaemonRunningError, ScrapeError, VllmdError
from vllmd.http import app as exporter
from vllmd.http.metrics import MetricsPage
from vllmd.scrape.page import PageSource

LOCK_NAME = "daemon.lock"
SUPERVISOR_RETRY_S = 5.0
HAS_PAGE = frozenset({State.READY, State.UNREACHABLE, State.STOPPING})

_log = structlog.get_logger()


@attrs.frozen
class Address:
    """Where a running daemon can be found."""

    exporter: str
    control: str


class Daemon:
    """One configuration, running: supervisors, the exporter's port, the control socket."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._started_at = self._clock.time()
        self._run_dir = paths.run_dir(config)
        self._stop = asyncio.Event()
        self._spawner = DirectSpawner()
        self._supervisors: dict[str, Supervisor] = {}
        self._sources: dict[str, PageSource] = {}

    async def run(self, started: Callable[[Address], None] = lambda _: None) -> None:
        """Run until SIGTERM or SIGINT, then stop the engines and return.

        `started` is called once everything listens.

        Raises: DaemonRunningError: another daemon has the run directory; VllmdError: a directory
            or the port cannot be used.
        """
        self._make_directories()
        lock = self._lock()
        exporter_socket = self._bind()
        control_path = paths.control_socket(self._run_dir)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
                self._build_engines(client)
                await self._serve(exporter_socket, control_path, started)
        finally:
            control_path.unlink(missing_ok=True)
            exporter_socket.close()
            os.close(lock)
        _log.info(events.DAEMON_STOPPED)

    async def _serve(
        self, exporter_socket: socket.socket, control_path: Path, started: Callable[[Address], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_stop, number.name)
        loop.add_signal_handler(signal.SIGCHLD, self._spawner.reap)
        control_app = control.build(self._supervisors, self._about)
        servers = [
            (asgi.Server(self._exporter_app()), exporter_socket),
            (asgi.Server(control_app, http=control.PeerProtocol), control.listen(control_path)),
        ]
        async with asyncio.TaskGroup() as tasks:
            for server, listener in servers:
                tasks.create_task(server.run_on(listener))
            lives = [tasks.create_task(self._live(s)) for s in self._supervisors.values()]
            address = Address(_url(exporter_socket), str(control_path))
            _log.info(
                events.DAEMON_STARTED,
                version=vllmd.__version__,
                pid=os.getpid(),
                config=self._config.path,
                engines=list(self._supervisors),
                exporter=address.exporter,
                control=address.control,
            )
            self._report_unconfigured()
            started(address)
            await self._stop.wait()
            for supervisor in self._supervisors.values():
                supervisor.close()
            await asyncio.gather(*lives)
            for server, _ in servers:
                server.close()

    async def _live(self, supervisor: Supervisor) -> None:
        """Run one supervisor; a mistake in it must not touch the others, nor its engine."""
        while True:
            try:
                await supervisor.run()
                return
            except Exception:  # noqa: BLE001 - isolates an engine; it is adopted again
                _log.exception(events.SUPERVISOR_FAILED, engine=supervisor.status.name)
                supervisor.let_go()
                await self._clock.sleep(SUPERVISOR_RETRY_S)

    # --- parts -------------------------------------------------------------------------------

    def _build_engines(self, client: httpx.AsyncClient) -> None:
        stopped = StoppedEngines(paths.state_dir(self._config) / "stopped.json")
        for engine in self._config.engines.values():
            source = PageSource(engine.name, engine.url, client, self._clock)
            self._sources[engine.name] = source
            self._supervisors[engine.name] = self._supervisor(
                engine, stopped, _probes(engine, source, client)
            )

    def _supervisor(self, engine: Engine, stopped: StoppedEngines, probes: Probes) -> Supervisor:
        return Supervisor(
            engine,
            command.build(engine),
            directory=paths.engine_dir(self._run_dir, engine.name),
            log_path=paths.engine_log(paths.log_dir(self._config), engine.name),
            spawner=self._spawner,
            stopped=stopped,
            probes=probes,
            clock=self._clock,
            poll_s=self._config.daemon.poll_s,
        )

    def _exporter_app(self) -> Any:
        collectors: list[Collector] = [
            BuildCollector(),
            EnginesCollector(self._statuses, self._clock),
            UsageCollector(self._statuses, self._clock),
            PagesCollector(list(self._sources.values())),
            OwnProcessCollector(),
        ]
        page = MetricsPage(Runner(collectors, self._clock), self._readable_sources)
        return exporter.build(self._statuses, page)

    def _statuses(self) -> list[EngineStatus]:
        return [supervisor.status for supervisor in self._supervisors.values()]

    def _readable_sources(self) -> list[PageSource]:
        return [self._sources[s.name] for s in self._statuses() if s.state in HAS_PAGE]

    def _about(self) -> dict[str, Any]:
        host, port = self._config.daemon.listen
        return {
            "version": vllmd.__version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "config": self._config.path,
            "listen": f"{host}:{port}",
            "run_dir": str(self._run_dir),
        }

    # --- start and end -----------------------------------------------------------------------

    def _make_directories(self) -> None:
        state, logs = paths.state_dir(self._config), paths.log_dir(self._config)
        try:
            self._run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            (self._run_dir / "engines").mkdir(mode=0o700, exist_ok=True)
            state.mkdir(mode=0o750, parents=True, exist_ok=True)
            logs.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise VllmdError(
                f"cannot make {error.filename}: {error.strerror}; set daemon.run_dir, state_dir "
                "and log_dir to folders that this user may write to, or run as root"
            ) from None

    def _lock(self) -> int:
        path = self._run_dir / LOCK_NAME
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise DaemonRunningError(
                f"a daemon (pid {pid}) already runs on {self._run_dir}; "
                "stop it, or set daemon.run_dir to another folder"
            ) from None
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        return fd

    def _bind(self) -> socket.socket:
        host, port = self._config.daemon.listen
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError as error:
            listener.close()
            raise VllmdError(
                f"cannot listen on {host}:{port}: {error.strerror}; end what has the port "
                f"(ss -ltnp 'sport = {port}') or change daemon.listen"
            ) from None
        return listener

    def _ask_stop(self, name: str) -> None:
        _log.info(events.DAEMON_STOPPING, signal=name)
        self._stop.set()

    def _report_unconfigured(self) -> None:
        """Name engines that run and are not in the configuration; they are left alone."""
        for directory in (self._run_dir / "engines").iterdir():
            if directory.name not in self._supervisors and (directory / "shim.sock").exists():
                _log.warning(
                    events.ENGINE_UNCONFIGURED,
                    engine=directory.name,
                    directory=str(directory),
                    advice="put it back into the configuration, or end the process of its shim",
                )


def _probes(engine: Engine, source: PageSource, client: httpx.AsyncClient) -> Probes:
    async def serving() -> bool:
        try:
            await source.get()
        except ScrapeError:
            return False
        return True

    return Probes(
        loading=functools.partial(answers, client, engine.url),
        serving=serving,
        owns_port=functools.partial(owned_by_tree, port=engine.port),
        forget=source.forget,
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
