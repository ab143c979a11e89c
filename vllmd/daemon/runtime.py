"""All that runs for a configuration: made once, and given other settings when the file changes.

What a reading does not change goes on unbroken: an engine's state, its drain or its pause, the
place in its log, what was counted. So a reload that changes nothing is seen by nobody.
"""

import asyncio
import functools
from collections.abc import Iterator
from typing import Any

import httpx

from vllmd.advise.service import AdviseService
from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.config.secret_values import secrets_of, webhook_url
from vllmd.config.sections import NotifyConfig
from vllmd.cost.service import CostService
from vllmd.daemon import probe_views
from vllmd.daemon.downloads import Downloads
from vllmd.daemon.engines import Engines, SharedServices, kept_runs
from vllmd.daemon.environment import Environment
from vllmd.daemon.host_memory_guard import HostMemoryGuard
from vllmd.daemon.reload import ConfigSnapshot, in_force
from vllmd.doctor.on_start import OnStartDoctor
from vllmd.engine.early_diagnosis import EarlyDiagnosis
from vllmd.engine.output.service import OutputService
from vllmd.engine.status import summary
from vllmd.engine.weights.unconfigured import UnconfiguredWeights
from vllmd.errors import ConfigError
from vllmd.gpu.service import GpuService
from vllmd.gpu.state_file import GpuStateFile
from vllmd.groups.service import GroupsService
from vllmd.history.writer import HistoryWriter
from vllmd.http.service import WebSettings
from vllmd.lora.service import LoraService
from vllmd.notify import service as notify_service
from vllmd.probe.service import ProbeService
from vllmd.scrape.page import Page
from vllmd.shim.proc import boot_id
from vllmd.status.filesystems import Filesystems
from vllmd.status.recorder import SeriesRecorder
from vllmd.status.service import AboutDaemon, StatusService, StatusSources
from vllmd.traces.service import TraceService
from vllmd.util.clock import Clock
from vllmd.util.disk_thread import DiskThread
from vllmd.util.loop_lag import LoopLag
from vllmd.util.parts import Part, RunningParts
from vllmd.util.terminal_text import harmless
from vllmd.util.units import MIB


class Runtime:
    """The engines, and everything that is done beside them."""

    def __init__(
        self,
        wanted: ConfigSnapshot,
        environment: Environment,
        *,
        history: HistoryWriter,
        on_start: OnStartDoctor,
        web: WebSettings,
        client: httpx.AsyncClient,
        clock: Clock,
        disk_thread: DiskThread,
    ) -> None:
        """Make all of it; nothing runs before `begin`."""
        self.wanted = wanted
        self._environment = environment
        self._history = history
        self._on_start = on_start
        self._web = web
        self._clock = clock
        self.engines = engines = Engines()
        self.now = now = in_force(wanted, None, kept_runs(wanted.config, clock), ())
        self._make_services(now, client, disk_thread)
        self._around = SharedServices(
            environment,
            client,
            clock,
            disk_thread,
            self.outputs,
            self.gpus,
            self.adapters,
            told=self._page_read,
            ended=self._renew,
            spent=self.cost_service.asked,
            group_of=self.groups.of,
            lag=self.lag,
        )
        engines.configure(now, wanted, self._around)
        self._early = EarlyDiagnosis(
            engines.starting,
            self.outputs.errors,
            on_start.doubts,
            clock,
            lambda line: environment.redactor.text(harmless(line)),
        )
        self._unconfigured = UnconfiguredWeights(
            paths.run_dir(wanted.config), engines.looked_after, lambda: self.wanted.problem, clock
        )
        marks = environment.marks
        self._marks = Part("marks", lambda: marks.remember(history), may_end=True)
        self._lives = RunningParts(environment.parts, self._renew)
        self._others = RunningParts(environment.parts)
        notifier = environment.notifier
        self._manager = Part(
            "systemd",
            functools.partial(notify_service.tell_manager, notifier, self.say, clock),
            longest_pause_s=notify_service.notify_every_s(notifier),
        )
        self._webhook: tuple[object, Part] | None = None
        self._ending = False

    def _make_services(
        self, now: ConfigSnapshot, client: httpx.AsyncClient, disk_thread: DiskThread
    ) -> None:
        """Make what works beside the engines, subject by subject."""
        config, engines, clock = now.config, self.engines, self._clock
        self.outputs = OutputService(config, clock)
        self.filesystems = Filesystems(paths.written(config), clock)
        state_file = GpuStateFile(paths.state_dir(config) / "gpus.json", disk_thread.do)
        self.gpus = GpuService(config, now.commands, engines.statuses, clock, state_file)
        self.tracing = TraceService(
            config, self._environment, now.commands, client, clock, engines.note_span
        )
        self.lag = LoopLag(clock)
        self.groups = GroupsService(
            config,
            now.commands,
            lambda name: engines.supervisors[name],
            self.lag,
            self._environment.redactor.text,
        )
        self.adapters = LoraService(config, now.commands, engines.statuses, client, clock)
        self.cost_service = CostService(
            config, engines.statuses, engines.status, self.gpus, clock, disk_thread, boot_id()
        )
        self.advisor = AdviseService(
            config, now.commands, engines.status, self.gpus, clock, disk_thread
        )
        view = functools.partial(
            probe_views.view_of, engines, self.gpus, self.cost_service, lambda: self.now.config
        )
        self.probes = ProbeService(config, now.commands, view, client, clock, disk_thread.do)
        self.series = SeriesRecorder(
            clock,
            lambda: self.gpus.latest.all_values(clock.monotonic()),
            engines.ask_versions,
        )
        self.series.configure(config.engines, config.daemon.poll_s)
        self._downloads = Downloads(
            engines.starting, lambda: self.now.config, lambda: self.now.commands, clock
        )
        self._memory_guard = HostMemoryGuard(
            self.gpus,
            lambda: engines.supervisors,
            lambda: self.now.config.gpu.host_memory_floor,
            clock,
        )

    # --- its life ----------------------------------------------------------------------------

    def begin(self) -> None:
        """Let everything run."""
        self._environment.parts.ending = False
        self._run()

    async def looked(self) -> None:
        """Wait until it is known how the engines stand, and the disks."""
        await asyncio.gather(self.engines.looked(), self.filesystems.look())

    def _run(self) -> None:
        self._lives.become(self.engines.parts())
        self._others.become(self._parts())

    def _parts(self) -> Iterator[Part]:
        """Yield what works beside the engines until the daemon ends."""
        yield self._manager
        yield Part("event_loop_lag", self.lag.run)
        yield self._webhook_part(self.now.config.notify)
        yield from self.engines.weight_parts()
        yield Part("unconfigured_weights", self._unconfigured.run)
        yield self._marks
        yield from self.outputs.parts()
        yield Part("filesystems", self.filesystems.watch)
        yield Part("downloads", self._downloads.run)
        yield from self.gpus.parts()
        yield from self._memory_guard.parts()
        yield from self.tracing.parts()
        yield from self.adapters.parts()
        yield from self.groups.parts()
        yield from self.cost_service.parts()
        yield from self.advisor.parts()
        yield from self.probes.parts()
        yield from self.series.parts()
        yield from self._on_start.parts()
        yield from self._early.parts()

    def _webhook_part(self, notify: NotifyConfig) -> Part:
        """Return who sends notices: as before, if nothing about the address changed."""
        try:
            address = webhook_url(notify)
        except ConfigError as error:
            address = str(error)
        if self._webhook is None or self._webhook[0] != (notify, address):
            send = functools.partial(
                notify_service.send_notices, notify, self._environment.outbox, self._clock
            )
            self._webhook = (notify, address), Part("webhook", send, may_end=True)
        return self._webhook[1]

    async def end(self, *, leave_engines: bool) -> None:
        """Stop the engines, or leave them for the next daemon."""
        self._ending = self._environment.parts.ending = True
        if leave_engines:
            await self._lives.wait(f"engine:{name}" for name in self._dismissed())
            await self._lives.close()
            for supervisor in self.engines.supervisors.values():
                supervisor.detach()
        else:
            for supervisor in self.engines.supervisors.values():
                supervisor.close()
            await self._lives.wait()

    async def close(self) -> None:
        """End the rest, once the engines are ended or left."""
        with self._environment.parts.isolated("usage"):
            self.cost_service.close()
        with self._environment.parts.isolated("advise"):
            self.advisor.close()
        await self._others.close()
        await self.groups.close()
        with self._environment.parts.isolated("tracing"):
            await self.tracing.close(flush=True)
        self.outputs.close()

    async def abandon(self) -> None:
        """Let nothing run any longer, whatever became of the end."""
        self._ending = True
        await self._lives.close()
        await self._others.close()

    # --- another configuration ---------------------------------------------------------------

    def take(self, wanted: ConfigSnapshot, *, apply: bool = False) -> None:
        """Go on with another reading of the file; with `apply`, restart and stop what it asks for.

        Nothing of it is waited for. Where a mistake makes that impossible, everything is as before.
        """
        engines, names = self.engines, wanted.config.engines
        ending = engines.to_end(names, stop=apply)
        before, self.wanted = self.wanted, wanted
        try:
            self._reach(in_force(wanted, self.now, engines.runs(), ending))
        except BaseException:
            self.wanted = before
            self._configure(self.now)
            engines.forget(self._lives.is_over, self.now.config.engines)
            raise
        engines.part_with(names, ending)
        if apply:
            for supervisor in engines.supervisors.values():
                supervisor.renew()
        self._run()

    def _reach(self, now: ConfigSnapshot) -> None:
        self._configure(now)
        self.now = now

    def _configure(self, now: ConfigSnapshot) -> None:
        """Give everything its settings; what has them already is not touched."""
        config, commands = now.config, now.commands
        self._environment.redactor.learn(secrets_of(config))
        kept = config.history
        self._history.limit(max_bytes=kept.max_mb * MIB, keep_days=kept.keep_days)
        self._on_start.configure(config)
        self._web.configure(config.daemon)
        self.outputs.configure(config)
        self.gpus.configure(config, commands)
        self.tracing.configure(config, commands)
        self.adapters.configure(config, commands)
        self.groups.configure(config, commands)
        self.cost_service.configure(config)
        self.advisor.configure(config, commands)
        self.probes.configure(config, commands)
        self.series.configure(config.engines, config.daemon.poll_s)
        self.engines.configure(now, self.wanted, self._around)

    def _renew(self) -> None:
        """Reach an engine as it will be started, now that its older run is over."""
        if self._ending:
            return
        with self._environment.parts.isolated("reload"):
            self._reach_again()

    def _reach_again(self) -> None:
        engines, names = self.engines, self.wanted.config.engines
        engines.forget(self._lives.is_over, names)
        now = in_force(self.wanted, self.now, engines.runs(), self._dismissed())
        if now != self.now:
            self._reach(now)
            self._run()

    def _dismissed(self) -> list[str]:
        """Return the engines that are being stopped because they are not configured any more."""
        return [name for name in self.engines.supervisors if name not in self.wanted.config.engines]

    # --- what is known -----------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """What the file says, or said when it could be used last."""
        return self.wanted.config

    def say(self) -> str:
        """Say in one line how it goes."""
        said = self.wanted.problem or summary(self.engines.statuses())
        return self._environment.redactor.text(said)

    def troubles(self) -> dict[str, Any]:
        """Return what `status` tells of what keeps the daemon from its work."""
        return {
            "disk_problem": self.filesystems.problem(),
            "history_problem": self._history.problem,
            "traces_problem": self.tracing.problem(),
            "late_s": round(self.lag.late_s(), 3),
        }

    def status(self, daemon: AboutDaemon) -> StatusService:
        """Return what answers for all that is known."""
        sources = StatusSources(
            daemon=daemon,
            engines=self.engines,
            logs=self.outputs,
            gpus=self.gpus,
            adapters=self.adapters,
            probe=self.probes.shown,
            doubts=self._on_start.doubts,
            series=self.series,
            filesystems=self.filesystems,
            downloads=self._downloads.known,
        )
        environment = self._environment
        return StatusService(
            sources, self._clock, environment.redactor.value, environment.parts.isolated
        )

    def _page_read(self, engine: str, page: Page) -> None:
        """Tell all who use an engine's page; a mistake of theirs is none of who watches it."""
        parts = self._environment.parts
        with parts.isolated("tracing"):
            self.tracing.page_read(engine, page)
        with parts.isolated("usage"):
            self.cost_service.page_read(engine, page)
        with parts.isolated("advise"):
            self.advisor.page_read(engine, page)
        with parts.isolated("series"):
            self.series.page_read(engine, page)
