"""The daemon: its start and its end, what it listens on, and a file that is read again."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import structlog

import vllmd
from vllmd.collectors.base import Collector
from vllmd.collectors.runner import CollectorRunner
from vllmd.config import paths
from vllmd.config.fallback import keep_good
from vllmd.config.metrics import ConfigCollector
from vllmd.config.model import Config
from vllmd.config.secret_values import secrets_of
from vllmd.control import server as control
from vllmd.cost.metrics import CostCollector
from vllmd.daemon import lifetime, startup
from vllmd.daemon.engine_client import engine_client
from vllmd.daemon.environment import Address, Environment
from vllmd.daemon.lifetime import Lifetime
from vllmd.daemon.metrics.build import BuildCollector
from vllmd.daemon.metrics.filesystems import FilesystemsCollector
from vllmd.daemon.metrics.parts import PartsCollector
from vllmd.daemon.metrics.process import OwnProcessCollector
from vllmd.daemon.reload import ConfigSnapshot, NoFileError, plan, read_again, wait_until_usable
from vllmd.daemon.runtime import Runtime
from vllmd.daemon.servers import Servers
from vllmd.doctor.on_start import OnStartDoctor
from vllmd.engine.metrics import DoubtsCollector, EnginesCollector, UsageCollector
from vllmd.engine.output.metrics import LogsCollector
from vllmd.errors import VllmdError
from vllmd.eventlog.bus import Event
from vllmd.events.base import emit
from vllmd.events.daemon import (
    ConfigRefused,
    ConfigReloaded,
    ConfigWarned,
    DaemonStarted,
    DaemonStopping,
)
from vllmd.gpu.metrics import GpusCollector
from vllmd.history.metrics import HistoryCollector, MarksCollector
from vllmd.history.reading import EventFilter
from vllmd.history.store import Store
from vllmd.history.writer import HistoryWriter
from vllmd.http import app as exporter
from vllmd.http.metrics import ConnectionsCollector
from vllmd.http.metrics_page import MetricsPage
from vllmd.http.service import WebSettings
from vllmd.lora.metrics import AdaptersCollector
from vllmd.notify import service as notify_service
from vllmd.notify.metrics import NotificationsCollector
from vllmd.probe.metrics import ProbesCollector
from vllmd.scrape.metrics import PagesCollector
from vllmd.traces.metrics import TracesCollector
from vllmd.util.allocator import keep_memory_small
from vllmd.util.clock import Clock, Moment, SystemClock
from vllmd.util.disk_thread import DiskThread
from vllmd.util.parts import Part, RunningParts
from vllmd.util.threads import Threads
from vllmd.util.units import MIB

LOOK_S = 5.0
"""Nothing is answered before each engine was looked for, or so long has passed."""

_log = structlog.get_logger()


class Daemon:
    """One process: its locks, its sockets, its signals, and what runs for the configuration."""

    def __init__(
        self,
        config: Config,
        environment: Environment | None = None,
        *,
        problem: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a daemon; with a `problem` of the configuration it starts nothing new."""
        self._first = config, problem
        self._environment = environment or Environment()
        self._clock, self._parts = clock or SystemClock(), self._environment.parts
        self._started = Moment.now(self._clock)
        if problem is None:
            self._environment.reloads.accept(self._started.wall)
        else:
            self._environment.reloads.refuse(problem)
        self._run_dir = paths.run_dir(config)
        self._environment.redactor.learn(secrets_of(config))
        kept = config.history
        self._history = HistoryWriter(
            Store(paths.state_dir(config), max_bytes=kept.max_mb * MIB, keep_days=kept.keep_days),
            parts=self._parts,
        )
        self._web = WebSettings(config.daemon, self._clock)
        self._stop, self._reading = asyncio.Event(), asyncio.Lock()
        self._hung_up: set[asyncio.Task[None]] = set()

    async def run(self, started: Callable[[Address], None] = lambda _: None) -> None:
        """Run until SIGTERM, SIGINT or SIGQUIT, then stop the engines (or leave them) and return.

        `started` is called once everything listens.

        Raises: DaemonRunningError: another daemon has the run directory; VllmdError: a directory
            or the port cannot be used.
        """
        keep_memory_small()
        config = self._first[0]
        startup.make_directories(config)
        lock = startup.take_lock(self._run_dir)
        asyncio.get_running_loop().set_default_executor(Threads())
        self._disk_thread = DiskThread(self._parts)
        state_file = paths.state_dir(config) / lifetime.NAME
        self._lifetime = Lifetime(state_file, self._clock, self._disk_thread.do)
        control_path = paths.control_socket(self._run_dir)
        self._on_start = OnStartDoctor(config, control_path)
        try:
            with (
                self._kept(),
                self._lifetime.told(lambda: lifetime.ORDERLY),
                self._web.listen(self._environment.sockets) as exporter,
            ):
                await self._work(exporter, control_path, started)
        finally:
            control_path.unlink(missing_ok=True)
            os.close(lock)

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Write down what happens, until the very end."""
        self._history.start()
        notify_service.expect_notices(self._first[0].notify, self._environment.outbox)
        self._environment.listen(history=self._history.put, doctor=self._on_start.put)
        self._lifetime.begin()
        try:
            yield
        finally:
            self._environment.feed.detach()
            self._disk_thread.close()
            self._history.close()

    async def _work(
        self, exporter_socket: socket.socket, control_path: Path, started: Callable[[Address], None]
    ) -> None:
        config, problem = self._first
        async with engine_client() as client:
            self._runtime = Runtime(
                ConfigSnapshot.of(config, problem=problem),
                self._environment,
                history=self._history,
                on_start=self._on_start,
                web=self._web,
                client=client,
                clock=self._clock,
                disk_thread=self._disk_thread,
            )
            await self._serve(exporter_socket, control_path, started)

    async def _serve(
        self, exporter_socket: socket.socket, control_path: Path, started: Callable[[Address], None]
    ) -> None:
        runtime = self._runtime
        self._status = runtime.status(self)
        self._take_signals()
        address = Address(self._web.url(), str(control_path))
        servers = Servers(
            self._environment,
            exporter_socket=exporter_socket,
            exporter_app=self._web.guard(self._exporter_app()),
            tls=self._web.tls,
            control_path=control_path,
            control_app=self._control_app(),
        )
        served, watching = RunningParts(self._parts), RunningParts(self._parts)
        with self._parts.isolated("tracing"):  # its parts go on trying
            await runtime.tracing.open()
        emit(
            _log,
            DaemonStarted(
                version=vllmd.__version__,
                pid=os.getpid(),
                config=runtime.config.path,
                engines=tuple(runtime.engines.supervisors),
                exporter=address.exporter,
                control=address.control,
            ),
        )
        notify_service.report_unconfigured(self._run_dir, runtime.engines.supervisors)
        try:
            runtime.begin()
            await self._looked()
            served.become(servers.parts())
            watching.become(
                [
                    Part("config", self._watch_config, may_end=True),
                    servers.kept_there(self._clock),
                ]
            )
            started(address)
            await self._stop.wait()
            self._environment.notifier.send("STOPPING=1")
            await runtime.end(leave_engines=self._environment.leaves_engines)
            await runtime.close()
            servers.close()
            await served.wait()
        finally:
            await watching.close()
            await runtime.abandon()
            await served.close()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._parts.take_from_loop)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._ask_stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGCHLD, self._environment.spawner.reap)

    async def _looked(self) -> None:
        """Wait until it is known how the engines stand, but not for ever."""
        waits = [
            asyncio.ensure_future(self._runtime.looked()),
            asyncio.ensure_future(self._stop.wait()),
        ]
        await asyncio.wait(waits, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    # --- a file that is read again -----------------------------------------------------------

    async def _watch_config(self) -> None:
        """Wait until a file that could not be used at the start can be."""
        while self._runtime.wanted.problem is not None and self._runtime.config.path is not None:
            await wait_until_usable(Path(self._runtime.config.path), self._clock)
            with contextlib.suppress(VllmdError):
                await self.reload()

    async def reload(self, *, apply: bool = False) -> dict[str, Any]:
        """Read the file again, aside: its disk may hang; one that cannot be used changes nothing.

        Returns: what that changes; it is in force.
        Raises: VllmdError: why it cannot be used.
        """
        async with self._reading:
            try:
                wanted = await asyncio.to_thread(self._read_again)
            except NoFileError:
                raise
            except VllmdError as error:
                self._environment.reloads.refuse(str(error))
                emit(_log, ConfigRefused(problem=str(error), consequence="nothing changed"))
                raise
            if self._stop.is_set():
                raise VllmdError("this daemon is ending: nothing is read again")
            return self._take(wanted, apply=apply)

    def _read_again(self) -> ConfigSnapshot:
        """Read the file; one that can be used is kept for a start when it cannot."""
        wanted = read_again(self._runtime.config, self._environment.overrides)
        if self._environment.leaves_engines and wanted.config.path:
            keep_good(Path(wanted.config.path), paths.state_dir(Config()))
        return wanted

    def _take(self, wanted: ConfigSnapshot, *, apply: bool) -> dict[str, Any]:
        runtime = self._runtime
        engines = runtime.engines
        changes = plan(runtime.config, wanted, engines.running())
        runtime.take(wanted, apply=apply)
        self._environment.reloads.accept(self._clock.time())
        for warning in wanted.warnings:
            emit(_log, ConfigWarned(problem=warning.format(wanted.config.path)))
        emit(
            _log,
            ConfigReloaded(
                config=wanted.config.path,
                apply=apply,
                added=changes.added,
                removed=changes.removed,
                running=changes.running,
                applied=changes.applied,
                restart=changes.restart,
            ),
        )
        notify_service.report_unconfigured(self._run_dir, engines.supervisors)
        return changes.to_json()

    def _hang_up(self) -> None:
        """Do what SIGHUP asks for, and tell the service manager."""
        task = asyncio.ensure_future(self._reload_for_manager())
        self._hung_up.add(task)
        task.add_done_callback(self._hung_up.discard)

    async def _reload_for_manager(self) -> None:
        notifier = self._environment.notifier
        notifier.reloading(self._clock.monotonic())
        with self._parts.isolated("reload"):
            try:
                await self.reload()
            except NoFileError as error:
                emit(_log, ConfigWarned(problem=str(error)))
            except VllmdError:
                pass  # it was said
        notifier.send("READY=1")

    # --- parts -------------------------------------------------------------------------------

    def _control_app(self) -> Any:
        runtime, mask = self._runtime, self._environment.redactor.value
        parts = control.Controls(
            self,
            runtime.outputs,
            runtime.gpus,
            runtime.tracing,
            runtime.adapters,
            runtime.cost_service,
            runtime.advisor,
            runtime.probes,
            self._status,
        )
        return control.build(runtime.engines.supervisors, parts, mask)

    def _exporter_app(self) -> Any:
        runtime, statuses = self._runtime, self._runtime.engines.statuses
        collectors: list[Collector] = [
            BuildCollector(),
            ConfigCollector(
                self._environment.reloads.last_read,
                self._web.last_read,
                self._web.logins,
                lambda: runtime.now.config.fleet,
            ),
            ConnectionsCollector(self._environment.totals),
            HistoryCollector(self._history),
            MarksCollector(self._environment.marks),
            FilesystemsCollector(runtime.filesystems, self._clock),
            NotificationsCollector(self._environment.outbox),
            GpusCollector(runtime.gpus.figures, self._clock),
            LogsCollector(runtime.outputs.figures, runtime.outputs.not_copied),
            EnginesCollector(
                statuses,
                self._clock,
                runtime.engines.version,
                lambda: runtime.now.config.fleet.name,
            ),
            DoubtsCollector(statuses, self._on_start.doubts),
            UsageCollector(statuses, self._clock),
            AdaptersCollector(runtime.adapters.figures),
            ProbesCollector(runtime.probes.figures),
            CostCollector(runtime.cost_service.figures),
            PagesCollector(runtime.engines.sources.values()),
            TracesCollector(runtime.tracing.figures),
            OwnProcessCollector(runtime.lag),
            PartsCollector(self._parts, lambda: self._lifetime.unexpected),
        ]
        engines, mask = runtime.engines, self._environment.redactor.labels
        runner = CollectorRunner(collectors, self._clock)
        page = MetricsPage(runner, engines.readable_sources, mask, self._parts.isolated)
        return exporter.build(
            statuses, page, self._status, engines.supervisors, runtime.groups.page
        )

    async def events(self, wanted: EventFilter) -> list[Event]:
        """Return events of the history.

        Raises: VllmdError: it cannot be read.
        """
        return await self._history.read_aside(wanted)

    def grafana_url(self) -> str | None:
        """Return where Grafana is, if that is configured."""
        return self._runtime.config.daemon.grafana_url

    def about(self) -> dict[str, Any]:
        """Return what `status` tells of the daemon itself."""
        runtime = self._runtime
        return {
            "version": vllmd.__version__,
            "pid": os.getpid(),
            "started_at": self._started.shown(self._clock),
            "config": runtime.config.path,
            "problem": runtime.wanted.problem or self._environment.reloads.refusal,
            **runtime.troubles(),
            "failing": [part.to_json() for part in self._parts.failing()],
            **self._web.about(),
            "run_dir": str(self._run_dir),
            "unconfigured": notify_service.unconfigured(self._run_dir, runtime.engines.supervisors),
        }

    def _ask_stop(self, name: str) -> None:
        emit(_log, DaemonStopping(signal=name))
        self._stop.set()
