"""The daemon: the only place where the parts are wired together."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import structlog

import vllmd
from vllmd import asgi, events, lifetime, premises, telling
from vllmd.adapters import Adapters
from vllmd.allocator import give_back_large_blocks
from vllmd.aside import Aside
from vllmd.clock import Clock, SystemClock
from vllmd.collectors.adapters import AdaptersCollector
from vllmd.collectors.base import Collector
from vllmd.collectors.build import BuildCollector
from vllmd.collectors.config import ConfigCollector, LastRead
from vllmd.collectors.connections import ConnectionsCollector
from vllmd.collectors.cost import CostCollector
from vllmd.collectors.engines import EnginesCollector, UsageCollector
from vllmd.collectors.filesystems import FilesystemsCollector
from vllmd.collectors.gpus import GpusCollector
from vllmd.collectors.history import HistoryCollector
from vllmd.collectors.logs import LogsCollector
from vllmd.collectors.notifications import NotificationsCollector
from vllmd.collectors.pages import PagesCollector
from vllmd.collectors.parts import PartsCollector
from vllmd.collectors.process import OwnProcessCollector
from vllmd.collectors.runner import Runner
from vllmd.collectors.traces import TracesCollector
from vllmd.config import command, paths
from vllmd.config.model import Config
from vllmd.config.secrets import secrets_of
from vllmd.control import server as control
from vllmd.engine.status import summary
from vllmd.engines import Engines
from vllmd.errors import VllmdError
from vllmd.feed import Event
from vllmd.foresight import Foresight
from vllmd.gpu.notebook import Notebook
from vllmd.gpus import Gpus
from vllmd.history.reading import Wanted
from vllmd.history.store import Store
from vllmd.history.writer import History
from vllmd.http import app as exporter
from vllmd.http.metrics import MetricsPage
from vllmd.lifetime import Lifetime
from vllmd.metering import Metering
from vllmd.outputs import Outputs
from vllmd.parts import Part
from vllmd.reloading import read_again, wait_until_usable
from vllmd.scrape.page import Page
from vllmd.surroundings import Address, Outcome, Surroundings
from vllmd.tracing import Tracing
from vllmd.units import MIB
from vllmd.web import Web

_log = structlog.get_logger()


class Daemon:
    """One configuration, running: supervisors, the exporter's port, the control socket."""

    def __init__(
        self,
        config: Config,
        surroundings: Surroundings | None = None,
        *,
        problem: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a daemon; with a `problem` of the configuration it starts nothing new."""
        self._config = config
        self._surroundings = surroundings or Surroundings()
        self._problem = problem
        self._outcome = Outcome.STOPPED
        self._clock = clock or SystemClock()
        self._started_at = self._clock.time()
        self._parts = self._surroundings.parts
        if problem is None:
            self._surroundings.reloads.accept(self._started_at)
        else:
            self._surroundings.reloads.refuse(problem)
        self._run_dir = paths.run_dir(config)
        self._surroundings.redactor.learn(secrets_of(config))
        kept = config.history
        self._history = History(
            Store(paths.state_dir(config), max_bytes=kept.max_mb * MIB, keep_days=kept.keep_days),
            parts=self._parts,
        )
        self._stop = asyncio.Event()
        self._engines = Engines()
        self._web = Web(config.daemon, self._surroundings.web, self._clock)

    async def run(self, started: Callable[[Address], None] = lambda _: None) -> Outcome:
        """Run until SIGTERM or SIGINT, then stop the engines (or leave them) and return.

        `started` is called once everything listens.

        Raises: DaemonRunningError: another daemon has the run directory; VllmdError: a directory
            or the port cannot be used.
        """
        give_back_large_blocks()
        premises.make_directories(self._config)
        lock = premises.take_lock(self._run_dir)
        self._loop = asyncio.get_running_loop()
        self._aside = Aside(self._parts)
        self._lifetime = Lifetime(
            paths.state_dir(self._config) / lifetime.NAME, self._clock, self._aside.do
        )
        control_path = paths.control_socket(self._run_dir)
        self._foresight = Foresight(self._config, control_path)
        try:
            with (
                self._kept(),
                self._lifetime.told(lambda: self._outcome.value),
                self._web.listen(self._surroundings.sockets) as exporter,
            ):
                await self._work(exporter, control_path, started)
        finally:
            control_path.unlink(missing_ok=True)
            os.close(lock)
        return self._outcome

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Write down what happens, until the very end."""
        self._history.start()
        telling.expect_notices(self._config.notify, self._surroundings.outbox)
        self._surroundings.listen(history=self._history.put, doctor=self._foresight.put)
        self._lifetime.begin()
        try:
            yield
        finally:
            self._surroundings.feed.detach()
            self._aside.close()
            self._history.close()

    async def _work(
        self, exporter_socket: socket.socket, control_path: Path, started: Callable[[Address], None]
    ) -> None:
        self._outputs = Outputs(self._config, self._clock)
        self._gpus = Gpus(
            self._config,
            self._engines.statuses,
            self._clock,
            Notebook(paths.state_dir(self._config) / "gpus.json", self._aside.do),
        )
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            built = command.build_all(self._config)
            self._tracing = Tracing(
                self._config,
                self._surroundings,
                built,
                client,
                self._clock,
                self._engines.note_span,
            )
            self._adapters = Adapters(
                self._config, built, self._engines.statuses, client, self._clock
            )
            self._metering = Metering(
                self._config, self._engines.statuses, self._gpus, self._clock, self._aside
            )
            self._engines.build(
                self._config,
                self._surroundings,
                built,
                client=client,
                clock=self._clock,
                aside=self._aside,
                outputs=self._outputs,
                gpus=self._gpus,
                told=self._page_read,
                adapters=self._adapters,
                start_nothing=self._problem,
            )
            await self._serve(exporter_socket, control_path, started)
        self._outputs.close()

    async def _serve(
        self, exporter_socket: socket.socket, control_path: Path, started: Callable[[Address], None]
    ) -> None:
        loop = self._loop
        loop.set_exception_handler(self._parts.take_from_loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGCHLD, self._surroundings.spawner.reap)
        control_app = control.build(
            self._engines.supervisors,
            control.Parts(
                self, self._outputs, self._gpus, self._tracing, self._adapters, self._metering
            ),
        )
        address = Address(self._web.url(), str(control_path))
        exporter_app, tls = self._web.guard(self._exporter_app()), self._web.tls
        server = functools.partial(asgi.bounded, self._surroundings.tallies, self._parts.isolated)
        exposed = asgi.Served(lambda: server("exporter", exporter_app, tls=tls), exporter_socket)
        controlled = asgi.Served(
            lambda: server("control", control_app, protocol=control.PeerProtocol),
            control.listen(control_path),
        )
        served = [
            Part("exporter", exposed.run, may_end=True),
            Part("control", controlled.run, may_end=True),
        ]
        engines, others = self._engines.parts(), self._other_parts()
        self._parts.retain(part.name for part in (*served, *engines, *others))
        with self._parts.isolated("tracing"):  # its parts go on trying
            await self._tracing.open()
        async with asyncio.TaskGroup() as tasks:
            for part in served:
                tasks.create_task(self._parts.keep(part))
            lives = [tasks.create_task(self._parts.keep(part)) for part in engines]
            _log.info(
                events.DAEMON_STARTED,
                version=vllmd.__version__,
                pid=os.getpid(),
                config=self._config.path,
                engines=list(self._engines.supervisors),
                exporter=address.exporter,
                control=address.control,
            )
            telling.report_unconfigured(self._run_dir, self._engines.supervisors)
            started(address)
            running = [tasks.create_task(self._parts.keep(part)) for part in others]
            if asked := self._surroundings.reloads.stop_signal:
                self._ask_stop(asked)
            await self._stop.wait()
            await self._end(lives)
            with self._parts.isolated("usage"):
                self._metering.close()
            for task in running:
                task.cancel()
            with self._parts.isolated("tracing"):
                await self._tracing.close(flush=self._outcome is Outcome.STOPPED)
            exposed.close()
            controlled.close()

    async def _end(self, lives: list[asyncio.Task[None]]) -> None:
        """Stop the engines, or leave them for the next daemon."""
        if self._outcome is Outcome.STOPPED:
            self._surroundings.notifier.send("STOPPING=1")
        if self._surroundings.leaves_engines or self._outcome is Outcome.RELOAD:
            await self._stop_removed(lives)
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
            for supervisor in self._engines.supervisors.values():
                supervisor.let_go()
        else:
            for supervisor in self._engines.supervisors.values():
                supervisor.close()
            await asyncio.gather(*lives)

    async def _stop_removed(self, lives: list[asyncio.Task[None]]) -> None:
        """Stop the engines that a reload was told to stop."""
        reloads = self._surroundings.reloads
        stop, reloads.stop = reloads.stop, frozenset()
        ending = []
        for life, (name, supervisor) in zip(lives, self._engines.supervisors.items(), strict=True):
            if name in stop:
                supervisor.close()
                ending.append(life)
        await asyncio.gather(*ending)

    async def _watch_config(self) -> None:
        """Wait until a file that could not be used can be."""
        if self._problem is None or self._config.path is None:
            return
        await wait_until_usable(Path(self._config.path), self._clock)
        self._outcome = Outcome.RELOAD
        self._stop.set()

    async def reload(self, *, apply: bool = False) -> dict[str, Any]:
        """Read the file again, aside: its disk may hang; one that cannot be used changes nothing.

        Returns: what that changes; this daemon ends, and the next one has it.
        Raises: VllmdError: why it cannot be used.
        """
        reloads, flags = self._surroundings.reloads, self._surroundings.overrides
        running = self._engines.running()
        try:
            config, plan = await asyncio.to_thread(read_again, self._config, running, flags)
        except VllmdError as error:
            reloads.refuse(str(error))
            _log.error(events.CONFIG_REFUSED, problem=str(error), consequence="nothing changed")
            raise
        if self._stop.is_set() and self._outcome is Outcome.STOPPED:
            raise VllmdError("this daemon is ending: nothing is read again")
        if apply:
            reloads.apply(plan)
        _log.info(events.CONFIG_RELOADED, config=config.path, apply=apply, **plan.to_json())
        self._outcome = Outcome.RELOAD
        asyncio.get_running_loop().call_soon(self._stop.set)
        return plan.to_json()

    def _hang_up(self) -> None:
        """Do what SIGHUP asks for."""
        self._hanging_up = asyncio.ensure_future(self._reload_and_tell())

    async def _reload_and_tell(self) -> None:
        """Read the file again, and tell the service manager."""
        self._surroundings.notifier.reloading(self._clock.monotonic())
        with self._parts.isolated("reload"), contextlib.suppress(VllmdError):
            await self.reload()
            return
        self._surroundings.notifier.send("READY=1")

    # --- parts -------------------------------------------------------------------------------

    def _other_parts(self) -> list[Part]:
        """Return what works beside the engines until the daemon ends."""
        notifier, outbox = self._surroundings.notifier, self._surroundings.outbox
        tell = functools.partial(telling.tell_manager, notifier, self._say, self._clock)
        send = functools.partial(telling.send_notices, self._config.notify, outbox, self._clock)
        return [
            Part("systemd", tell, longest_pause_s=telling.notify_every_s(notifier)),
            Part("webhook", send, may_end=True),
            Part("config", self._watch_config, may_end=True),
            *self._outputs.parts(),
            *self._gpus.parts(),
            *self._tracing.parts(),
            *self._adapters.parts(),
            *self._metering.parts(),
            *self._foresight.parts(),
        ]

    def _exporter_app(self) -> Any:
        collectors: list[Collector] = [
            BuildCollector(),
            ConfigCollector(self._last_read, self._web.last_read, self._web.logins),
            ConnectionsCollector(self._surroundings.tallies),
            HistoryCollector(self._history),
            FilesystemsCollector(paths.written(self._config)),
            NotificationsCollector(self._surroundings.outbox),
            GpusCollector(self._gpus.figures, self._clock),
            LogsCollector(self._outputs.figures, self._outputs.not_copied),
            EnginesCollector(self._engines.statuses, self._clock),
            UsageCollector(self._engines.statuses, self._clock),
            AdaptersCollector(self._adapters.figures),
            CostCollector(self._metering.figures),
            PagesCollector(list(self._engines.sources.values())),
            TracesCollector(self._tracing.figures),
            OwnProcessCollector(),
            PartsCollector(self._parts, lambda: self._lifetime.unexpected),
        ]
        page = MetricsPage(Runner(collectors, self._clock), self._engines.readable_sources)
        return exporter.build(self._engines.statuses, page)

    def _page_read(self, engine: str, page: Page) -> None:
        self._tracing.page_read(engine, page)
        self._metering.page_read(engine, page)

    def _say(self) -> str:
        return self._problem or summary(self._engines.statuses())

    def _last_read(self) -> LastRead:
        reloads = self._surroundings.reloads
        return reloads.problem is None, reloads.succeeded_at

    async def events(self, wanted: Wanted) -> list[Event]:
        """Return events of the history.

        Raises: VllmdError: it cannot be read.
        """
        return await asyncio.to_thread(self._history.read, wanted)

    def about(self) -> dict[str, Any]:
        """Return what `status` tells of the daemon itself."""
        return {
            "version": vllmd.__version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "config": self._config.path,
            "problem": self._problem or self._surroundings.reloads.refusal,
            "traces_problem": self._tracing.problem(),
            "failing": [part.to_json() for part in self._parts.failing()],
            **self._web.about(),
            "run_dir": str(self._run_dir),
        }

    # --- start and end -----------------------------------------------------------------------

    def _ask_stop(self, name: str) -> None:
        _log.info(events.DAEMON_STOPPING, signal=name)
        if self._stop.is_set() and self._outcome is Outcome.RELOAD:
            self._surroundings.reloads.stop_signal = name  # the engines are the next daemon's
            return
        self._outcome = Outcome.STOPPED
        self._stop.set()
